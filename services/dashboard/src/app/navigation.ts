import { Activity, Boxes, type LucideIcon, RefreshCw, Server, History } from "lucide-react";

/** The sections of the page. A new page is a line here and a route in router.tsx. */
export const NAVIGATION = [
  {
    heading: "Observe",
    entries: [
      { to: "/", label: "Fleet", icon: Boxes },
      { to: "/performance", label: "Performance", icon: Activity },
      { to: "/resources", label: "Resources", icon: Server },
      { to: "/changes", label: "Changes", icon: History },
    ],
  },
  { heading: "Operate", entries: [{ to: "/collection", label: "Collection", icon: RefreshCw }] },
] as const satisfies {
  heading: string;
  entries: { to: string; label: string; icon: LucideIcon }[];
}[];
