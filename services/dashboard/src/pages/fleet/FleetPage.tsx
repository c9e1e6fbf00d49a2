import { useQuery } from "@tanstack/react-query";
import { customersQuery } from "@/api/queries";
import { Card, PageHeader } from "@/kit/Card";
import { Table } from "@/kit/Table";
import { providerName } from "@/lib/units";

/** Every customer at a glance. */
export function FleetPage() {
  const { data } = useQuery(customersQuery);
  return (
    <>
      <PageHeader title="Fleet" />
      <Card title="Customers" flush>
        <Table
          label="Customers"
          rows={data?.data ?? []}
          rowKey={(row) => row.customer_id}
          columns={[
            { heading: "Customer", cell: (row) => row.customer_id },
            { heading: "Providers", cell: (row) => row.providers.map(providerName).join(", ") },
          ]}
        />
      </Card>
    </>
  );
}
