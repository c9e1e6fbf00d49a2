import { useQuery } from "@tanstack/react-query";
import { useLocation } from "@tanstack/react-router";
import { customersQuery } from "@/api/queries";
import { RangePicker } from "@/kit/RangePicker";
import { Select } from "@/kit/Select";
import { providerName } from "@/lib/units";
import { ALL_PROVIDERS, rangeSearch, useScope, useSetSearch } from "./scope";

/** Customer, provider and time range of what is shown; they stand in the URL. */
export function ScopeBar() {
  const { data } = useQuery(customersQuery);
  const { customer, provider, range } = useScope();
  const setSearch = useSetSearch();
  const { pathname } = useLocation();
  const customers = data?.data ?? [];
  const providers = customers.find((one) => one.customer_id === customer)?.providers ?? [];
  // The fleet is every customer.
  const ofOneCustomer = pathname !== "/";
  // The inventory is of a moment, which its own filters name.
  const overTime = pathname !== "/resources";

  return (
    <div className="flex min-w-0 flex-wrap items-center gap-2">
      {ofOneCustomer && (
        <Select
          label="Customer"
          value={customer}
          options={known(
            customer,
            customers.map((one) => one.customer_id),
          ).map((name) => ({
            value: name,
            label: name,
          }))}
          onChange={(chosen) => {
            setSearch({ customer: chosen, provider: undefined, resource: undefined });
          }}
        />
      )}
      {ofOneCustomer && (
        <Select
          label="Provider"
          value={provider}
          options={[
            { value: ALL_PROVIDERS, label: "All providers" },
            ...known(provider === ALL_PROVIDERS ? "" : provider, providers).map((name) => ({
              value: name,
              label: providerName(name),
            })),
          ]}
          onChange={(chosen) => {
            setSearch({ provider: chosen === ALL_PROVIDERS ? undefined : chosen });
          }}
        />
      )}
      {overTime && (
        <RangePicker
          range={range}
          onChange={(chosen) => {
            setSearch(rangeSearch(chosen));
          }}
        />
      )}
    </div>
  );
}

/** The names, with the one that the URL has even where it does not exist. */
function known(name: string, names: string[]): string[] {
  return name === "" || names.includes(name) ? names : [name, ...names];
}
