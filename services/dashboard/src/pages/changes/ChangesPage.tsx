import { useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";

export function ChangesPage() {
  const { customer } = useScope();
  return <PageHeader title="Changes" hint={customer} />;
}
