import { useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";

export function PerformancePage() {
  const { customer } = useScope();
  return <PageHeader title="Performance" hint={customer} />;
}
