/** What is shown, as a file. */
import { useMutation } from "@tanstack/react-query";
import { Download } from "lucide-react";
import { ask } from "@/api/client";
import { Button } from "./Button";

export function save(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}

/** Downloads what the API answers at `url` as CSV, whole and not only what fits the screen. */
export function CsvButton({ url, name }: { url: string; name: string }) {
  const download = useMutation({
    mutationFn: async () => {
      const address = new URL(url, location.origin);
      address.searchParams.set("format", "csv");
      const answer = await ask(new Request(address));
      save(await answer.blob(), `${name}.csv`);
    },
  });
  return (
    <Button
      onClick={() => {
        download.mutate();
      }}
      disabled={download.isPending}
      title={download.error?.message ?? "Download what is shown as CSV"}
    >
      <Download className="size-4" aria-hidden />
      {download.isError ? "CSV failed: again?" : "CSV"}
    </Button>
  );
}
