import { ChevronDown } from "lucide-react";
import { type ReactNode, useEffect, useId, useRef, useState } from "react";

/**
 * A button that opens a panel below it. Escape, a click elsewhere and leaving it with the
 * keyboard close it. `children` gets what closes it.
 */
export function Menu({
  label,
  text,
  icon,
  align = "left",
  children,
}: {
  label: string;
  text: ReactNode;
  icon?: ReactNode;
  align?: "left" | "right";
  children: (close: () => void) => ReactNode;
}) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const panel = useId();

  useEffect(() => {
    if (!open) return;
    function elsewhere(event: Event) {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    }
    function escape(event: KeyboardEvent) {
      if (event.key !== "Escape") return;
      setOpen(false);
      root.current?.querySelector("button")?.focus();
    }
    document.addEventListener("pointerdown", elsewhere);
    document.addEventListener("focusin", elsewhere);
    document.addEventListener("keydown", escape);
    return () => {
      document.removeEventListener("pointerdown", elsewhere);
      document.removeEventListener("focusin", elsewhere);
      document.removeEventListener("keydown", escape);
    };
  }, [open]);

  return (
    <div ref={root} className="relative">
      <button
        type="button"
        aria-label={label}
        aria-expanded={open}
        aria-controls={open ? panel : undefined}
        onClick={() => {
          setOpen(!open);
        }}
        className="inline-flex items-center gap-1.5 rounded-md border border-line-strong bg-surface px-2.5 py-1.5 whitespace-nowrap hover:bg-sunken"
      >
        {icon}
        {text}
        <ChevronDown className="size-3.5 text-muted" aria-hidden />
      </button>
      {open && (
        <div
          id={panel}
          className={`absolute top-full z-40 mt-1 max-w-[calc(100vw-2rem)] rounded-lg border border-line bg-surface p-2 shadow-lg ${align === "right" ? "right-0" : "left-0"}`}
        >
          {children(() => {
            setOpen(false);
          })}
        </div>
      )}
    </div>
  );
}
