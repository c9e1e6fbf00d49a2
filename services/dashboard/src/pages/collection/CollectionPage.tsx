import { useScope } from "@/app/scope";
import { PageHeader } from "@/kit/Card";

export function CollectionPage() {
  const { customer } = useScope();
  return <PageHeader title="Collection" hint={customer} />;
}
