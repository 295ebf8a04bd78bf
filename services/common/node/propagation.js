// The propagation switch: what a service forwards, changeable while requests flow.
//
// `all` forwards every tracing header, `b3` and `w3c` keep x-request-id and only their own format, `none` drops every
// tracing header. It exists so that a trace can be broken, and healed, on purpose.

export const MODES = ["all", "b3", "w3c", "none"];

export class Switch {
  /** @param {string} mode one of MODES */
  constructor(mode) {
    this.mode = mode;
  }
}
