import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  retainSearchParams,
} from "@tanstack/react-router";
import { SCOPE_PARAMETERS, scopeSearch } from "./app/scope";
import { Shell } from "./app/Shell";
import { Empty, ProblemPanel } from "./kit/states";
import { parseSearch, stringifySearch } from "./lib/search";
import { ChangesPage } from "./pages/changes/ChangesPage";
import { changesSearch } from "./pages/changes/search";
import { CollectionPage } from "./pages/collection/CollectionPage";
import { collectionSearch } from "./pages/collection/search";
import { FleetPage } from "./pages/fleet/FleetPage";
import { fleetSearch } from "./pages/fleet/search";
import { PerformancePage } from "./pages/performance/PerformancePage";
import { performanceSearch } from "./pages/performance/search";
import { ResourcePage } from "./pages/resources/ResourcePage";
import { ResourcesPage } from "./pages/resources/ResourcesPage";
import { resourceSearch, resourcesSearch } from "./pages/resources/search";

const root = createRootRoute({
  component: Shell,
  validateSearch: scopeSearch,
  // Whose data and of when is kept from page to page.
  search: { middlewares: [retainSearchParams([...SCOPE_PARAMETERS])] },
  notFoundComponent: () => (
    <Empty title="There is no such page">
      <Link to="/" className="text-accent underline">
        Go to the fleet
      </Link>
    </Empty>
  ),
});

const routeTree = root.addChildren([
  createRoute({
    getParentRoute: () => root,
    path: "/",
    component: FleetPage,
    validateSearch: fleetSearch,
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/performance",
    component: PerformancePage,
    validateSearch: performanceSearch,
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/resources",
    component: ResourcesPage,
    validateSearch: resourcesSearch,
  }),
  createRoute({
    getParentRoute: () => root,
    // The id is one segment, its slashes escaped.
    path: "/resources/$resourceId",
    component: ResourcePage,
    validateSearch: resourceSearch,
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/changes",
    component: ChangesPage,
    validateSearch: changesSearch,
  }),
  createRoute({
    getParentRoute: () => root,
    path: "/collection",
    component: CollectionPage,
    validateSearch: collectionSearch,
  }),
]);

export const router = createRouter({
  routeTree,
  parseSearch,
  stringifySearch,
  scrollRestoration: true,
  defaultErrorComponent: ({ error, reset }) => (
    <ProblemPanel error={error instanceof Error ? error : new Error(String(error))} retry={reset} />
  ),
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
