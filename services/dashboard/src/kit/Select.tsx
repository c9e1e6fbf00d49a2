export interface Option {
  value: string;
  label: string;
}

/** One of a few, as the platform does it. */
export function Select({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: string;
  options: Option[];
  onChange: (value: string) => void;
}) {
  return (
    <select
      aria-label={label}
      title={label}
      value={value}
      onChange={(event) => {
        onChange(event.target.value);
      }}
      className="max-w-44 truncate rounded-md border border-line-strong bg-surface py-1.5 pr-7 pl-2.5 max-sm:max-w-32"
    >
      {options.map((option) => (
        <option key={option.value} value={option.value}>
          {option.label}
        </option>
      ))}
    </select>
  );
}
