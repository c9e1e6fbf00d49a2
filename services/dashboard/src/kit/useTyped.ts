import { useEffect, useRef, useState } from "react";

const PAUSE_MS = 250;

/**
 * A text that is typed: shown at once, told when the typing pauses. What comes from elsewhere,
 * like the Back button, replaces it.
 */
export function useTyped(
  value: string,
  tell: (value: string) => void,
): [string, (value: string) => void] {
  const [typed, setTyped] = useState(value);
  const [known, setKnown] = useState(value);
  const timer = useRef<number>(undefined);
  if (known !== value) {
    setKnown(value);
    setTyped(value);
  }
  useEffect(
    () => () => {
      clearTimeout(timer.current);
    },
    [],
  );
  return [
    typed,
    (next) => {
      setTyped(next);
      clearTimeout(timer.current);
      timer.current = window.setTimeout(() => {
        tell(next);
      }, PAUSE_MS);
    },
  ];
}
