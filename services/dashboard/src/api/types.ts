/** The answers' shapes by short names. */
import type { components as Collector, paths as CollectorPaths } from "./generated/data-collector";
import type {
  components as Performance,
  paths as PerformancePaths,
} from "./generated/performance-agent";
import type { components as Resources, paths as ResourcePaths } from "./generated/resource-agent";

export type Paths = CollectorPaths & PerformancePaths & ResourcePaths;

export type Customer = Collector["schemas"]["CustomerView"];
export type Account = Collector["schemas"]["AccountView"];
export type Kind = Collector["schemas"]["Kind"];
export type Run = Collector["schemas"]["RunSummary"];
export type RunDetail = Collector["schemas"]["RunDetail"];
export type RunStatus = Collector["schemas"]["RunStatus"];
export type ScopeOutcome = Collector["schemas"]["ScopeOutcome"];
export type ScopeStatus = Collector["schemas"]["ScopeStatus"];

export type Gap = Performance["schemas"]["GapFound"];
export type GapReason = Performance["schemas"]["GapReason"];
export type ScopeCoverage = Performance["schemas"]["ScopeCoverage"];
export type Summary = Performance["schemas"]["Summary"];
export type TrendBucket = Performance["schemas"]["TrendBucket"];
export type ResourceStatistics = Performance["schemas"]["ResourceStatistics"];

export type Resource = Resources["schemas"]["Resource"];
export type ResourceChange = Resources["schemas"]["ResourceChange"];
export type ResourceStatus = Resources["schemas"]["ResourceStatus"];
export type ResourceSummary = Resources["schemas"]["ResourceSummary"];
export type ResourceType = Resources["schemas"]["ResourceType"];

export type ProblemDocument = Collector["schemas"]["ProblemDocument"];
