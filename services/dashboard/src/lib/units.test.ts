import { expect, test } from "vitest";
import { dollars, quantity, share, words } from "./units";

test.each([
  [12.345, "%", "12.3%"],
  [0, "%", "0%"],
  [1536, "By", "1.5 KiB"],
  [3 * 2 ** 30, "By/s", "3 GiB/s"],
  [1234, "{op}/s", "1.23k ops/s"],
  [93, "ms", "93 ms"],
  [273_600, "s", "3 d 4 h"],
  [86_400, "s", "1 d"],
  [3599, "s", "1 h"],
  [0.004, "s", "4 ms"],
  [7, "{connection}", "7"],
  [null, "%", "—"],
])("%s in %s is %s", (value, unit, text) => {
  expect(quantity(value, unit)).toBe(text);
});

test("only what is whole is 100%", () => {
  expect(share(1)).toBe("100%");
  expect(share(0.9999)).toBe("99.9%");
  expect(share(0)).toBe("0%");
});

test("a small price is not nothing", () => {
  expect(dollars(0)).toBe("$0");
  expect(dollars(0.00042)).toBe("$0.00042");
  expect(dollars(12.5)).toBe("$12.50");
});

test("names become words", () => {
  expect(words("cpu_utilization")).toBe("CPU utilization");
  expect(words("lb_5xx_per_sec")).toBe("Load balancer 5xx per second");
  expect(words("vcpus")).toBe("vCPUs");
  expect(words("not_yet_published")).toBe("Not yet published");
});
