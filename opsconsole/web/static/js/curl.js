// An order as a call of the API.
import { quote } from "./expr.js";
import { forApi } from "./how.js";

/** @type {[string, string][]} */
const TIMEOUTS = [["connect_ms", "connect_timeout"], ["command_ms", "command_timeout"], ["idle_ms", "idle_timeout"], ["job_ms", "job_timeout"]];

/**
 * Returns the call that launches an order; who pastes it has a token in OPSCONSOLE_TOKEN. No password is in it.
 * @param {string} origin
 * @param {{how: Record<string, string>, what: Record<string, any>, rest: Record<string, any>}} order as `how` and `what` tell it; `rest`
 *   are fields by their names in the API
 * @param {Record<string, string>} usual values that need not be said
 */
export function curlLine(origin, { how, what, rest }, usual) {
  const said = Object.fromEntries(Object.entries(how).filter(([name, text]) => text !== usual[name]));
  const timeouts = TIMEOUTS.filter(([, name]) => Number(said[name]) >= 0).map(([name, field]) => [name, Math.round(1000 * Number(said[field]))]);
  const { connect_timeout: _connect, command_timeout: _command, ...options } = said;
  const body = {
    ...Object.fromEntries(Object.entries(rest).filter(([name, value]) => value && value !== usual[name])),
    ...forApi(options), ...(said.priority && { priority: said.priority }), ...what,
    ...(timeouts.length && { timeouts: Object.fromEntries(timeouts) }),
  };
  return ["curl", "--fail-with-body", "-H", '"Authorization: Bearer $OPSCONSOLE_TOKEN"', "--json", quote(JSON.stringify(body)), quote(`${origin}/api/v1/jobs`)].join(" ");
}
