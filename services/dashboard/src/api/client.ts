/** The one way to the API: typed by its OpenAPI documents, with the token, errors as ProblemError. */
import createClient from "openapi-fetch";
import { noAnswer, problemOf } from "./problem";
import { currentToken, refuse } from "./session";
import type { Paths } from "./types";

const NO_TOKEN = 401;

/** `fetch` with the token; throws a ProblemError for everything that is no success. */
export async function ask(request: Request): Promise<Response> {
  const token = currentToken();
  if (token) request.headers.set("Authorization", `Bearer ${token}`);
  let response: Response;
  try {
    response = await fetch(request);
  } catch (error) {
    // What the page gave up on itself is no fault of the API.
    if (request.signal.aborted) throw error;
    throw noAnswer();
  }
  if (response.ok) return response;
  const problem = await problemOf(response);
  if (problem.status === NO_TOKEN) refuse(token, problem.message);
  throw problem;
}

export const api = createClient<Paths>({ baseUrl: location.origin, fetch: ask });

/** The JSON of an answer; whatever is no success was thrown before. Other formats are text. */
export async function body<T>(answer: Promise<{ data?: T }>): Promise<Exclude<T, string>> {
  const { data } = await answer;
  if (data === undefined || typeof data === "string") throw noAnswer();
  return data as Exclude<T, string>;
}
