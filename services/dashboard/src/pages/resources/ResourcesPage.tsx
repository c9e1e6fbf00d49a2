import { useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";

export function ResourcesPage() {
  const { customer } = useScope();
  return <PageHeader title="Resources" hint={customer} />;
}
