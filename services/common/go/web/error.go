package web

// Error is an expected failure: the status of the answer and its text, fit for the caller's eyes. Never a stack trace,
// always a name. Cause is for the log and the span.
type Error struct {
	Status  int
	Message string
	Cause   error
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Cause }

// message is the body of an answer that is an error.
type message struct {
	Error string `json:"error"`
}
