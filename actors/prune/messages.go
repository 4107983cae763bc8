package prune

import "context"

// deleting is one job of a deleter: objects that go, in one request where the store can.
type deleting struct {
	Ctx  context.Context // of the call of the protocol, which may end before the job
	Keys []string
}

// deleted is what became of them.
type deleted struct{ Err error }

// pruned says that the protocol has ended.
type pruned struct{ err error }
