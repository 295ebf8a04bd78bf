// Errors that a service answers with {"error": ...}: never a stack trace, always a name.

/** An expected failure: `status` is the HTTP status of the answer, the message its text, fit for the caller's eyes. */
export class ServiceError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {unknown} [cause]
   */
  constructor(status, message, cause) {
    super(message, { cause });
    this.name = "ServiceError";
    this.status = status;
  }
}

/** The service cannot start and a person can mend it; the message is one line. */
export class StartError extends Error {}
