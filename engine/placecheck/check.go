// Package placecheck tries out whether backups can be kept in a place, and what it can
// do. All of it happens below one prefix there, which is removed at the end; what a check
// that was killed has left, the next one removes.
package placecheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/backends/aside"
	"vaultik/backends/backendtest"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/internal/words"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

// Place is what is tried out. It need not be a store.
type Place struct {
	URL         string
	Connections int
	Lock        string // what was asked for of locking objects, in words
	// Open opens it anew, so that nothing which is put there is locked, and calls fail
	// soon. Troubles of a Silent one are not worth telling.
	Open func(ctx context.Context, o backends.Options, silent bool) (backends.Backend, error)
	// Again is the command that checks once more, for a hint.
	Again string
}

// check is one check on its way.
type check struct {
	Place
	events.Voice
	doc     *snapshot.StoreDoc // nil: no store there
	backend backends.Backend
	info    backends.Info
	scratch scratch
	profile backendtest.Profile
	omit    map[string]string
	clock   *time.Duration
	speed   speed

	passed, failed, omitted int
}

// Check tries out a place. It tells of [events.CheckBegins], of what is being tried out
// ([events.Checking]), of each result ([events.Check]) and of all that was found
// ([events.StoreCheck]). full asks for all that the tests of the backends ask for.
func Check(ctx context.Context, p Place, full bool, sink events.Sink) (err error) {
	k := &check{Place: p, Voice: events.Voice{Sink: sink}}
	if k.backend, err = p.Open(ctx, backends.Options{}, false); err != nil {
		return err
	}
	defer func() { _ = k.backend.Close() }()
	if k.info, err = k.backend.Info(ctx); err != nil {
		return err
	}
	if err := k.look(ctx); err != nil {
		return err
	}
	if k.scratch, err = newScratch(ctx, k.backend, p.URL, p.Connections); err != nil {
		return err
	}
	defer k.cleanUp(ctx)
	return k.run(ctx, full)
}

// look reads which store is there, if there is one.
func (k *check) look(ctx context.Context) error {
	b, err := backends.Objects(k.backend).Head(ctx, layout.StoreJSON,
		snapshot.MaxStoreDoc+1)
	if errors.Is(err, backends.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := snapshot.DecodeStore(b)
	if err != nil {
		k.Warn("", "%s there is unreadable: %v", layout.StoreJSON, err)
		return nil
	}
	k.doc = &doc
	return nil
}

func (k *check) run(ctx context.Context, full bool) error {
	clock, latency, err := k.scratch.begin(ctx)
	if err != nil {
		return fmt.Errorf("write to %s: %w", backends.Redact(k.URL), err)
	}
	if d, ok := clockOf(k.backend); ok {
		clock = &d
	}
	k.clock = clock
	now := time.Now()
	if clock != nil {
		now = now.Add(*clock)
	}
	k.scratch.sweep(ctx, k.Voice, now)
	k.plan(full, latency)
	k.announce()
	err = backendtest.Check(ctx, backendtest.Harness{New: k.newStore, Profile: k.profile,
		Omit: k.omit}, k.report)
	k.Tell(events.Checking{})
	if err != nil {
		return err
	}
	if k.speed, err = measureSpeed(ctx, k.scratch, latency); err != nil {
		return fmt.Errorf("measure the speed of %s: %w", backends.Redact(k.URL), err)
	}
	if info, err := k.backend.Info(ctx); err == nil {
		k.info = info // some of it was only seen while the place was tried out
	}
	k.summary()
	if k.failed > 0 {
		return fault.WithHint(&unfit{backends.Redact(k.URL), k.failed, k.failed + k.passed},
			"fix this before keeping backups there, then rerun: "+k.Again)
	}
	return nil
}

// unfit: a place does not keep what backups rely on.
type unfit struct {
	url         string
	failed, all int
}

func (e *unfit) Error() string {
	return fmt.Sprintf("%s fails %s of the %d checks that backups rely on", e.url,
		words.Count(int64(e.failed)), e.all)
}

// patience is how long the longest listing may take to be made. A place where it
// would take longer is asked for fewer objects.
const patience = 3 * time.Minute

// plan decides how much is asked of the place.
func (k *check) plan(full bool, latency time.Duration) {
	k.profile = backendtest.Light()
	if full {
		k.profile = backendtest.Full()
	}
	k.profile.MaxKey -= len(k.scratch.prefix) + len("000/")
	k.omit = map[string]string{"Missing store": "this place already exists"}
	calls := time.Duration(2*k.profile.Many) * latency / time.Duration(min(16,
		max(1, k.info.Connections)))
	if !full && calls > patience {
		const few = 100
		k.profile.Calls -= 2 * (k.profile.Many - few)
		k.Note(
			"a call takes %d ms here: the listing is checked with %d objects instead of %s, "+
				"which would take %s; use --full to check with all", latency.Milliseconds(), few,
			words.Count(int64(k.profile.Many)), words.Clock(calls))
		k.profile.Many = few
	}
}

// announce says what will be moved, before it is.
func (k *check) announce() {
	e := events.CheckBegins{URL: backends.Redact(k.URL), Up: k.profile.Up + 2*speedBytes,
		Down:  k.profile.Down + 2*speedBytes,
		Calls: int64(k.profile.Calls), Prefix: k.scratch.prefix}
	if k.doc != nil {
		e.Store = k.doc.Store.String()
	}
	k.Tell(e)
}

// newStore gives a case a place of its own. Cases provoke failures, which are made again
// and no trouble worth telling.
func (k *check) newStore(t *backendtest.T) backendtest.Opener {
	k.Tell(events.Checking{Name: t.Name})
	prefix := k.scratch.next()
	t.Cleanup(func() { k.scratch.remove(context.WithoutCancel(t.Context()), prefix) })
	return backendtest.Scratch(func(ctx context.Context, o backends.Options) (backends.Backend,
		error) {
		return k.Open(ctx, o, true)
	}, prefix)
}

// report tells the result of one case.
func (k *check) report(r backendtest.Result) {
	ev := events.Check{Type: "check", Name: r.Name, Status: "ok", Seconds: r.Took.Seconds()}
	switch {
	case r.Omitted != "":
		k.omitted++
		ev.Status, ev.Detail = "omitted", r.Omitted
	case len(r.Failures) > 0:
		k.failed++
		ev.Status, ev.Detail = "failed", config.Scrub(strings.Join(r.Failures, "; "))
		for _, f := range r.Failures {
			ev.Failures = append(ev.Failures, config.Scrub(f))
		}
	default:
		k.passed++
		if r.Lacks != "" {
			ev.Detail = "not supported by this place, and reported as such: " + r.Lacks
		}
	}
	k.Tell(ev)
}

// summary tells what the place can do.
func (k *check) summary() {
	left, _ := k.scratch.left()
	word, promise := Safety(k.doc, k.info.ConditionalPut)
	ev := events.StoreCheck{Type: "store-check", URL: backends.Redact(k.URL), Kind: k.info.Kind,
		Safety: word, Passed: k.passed, Failed: k.failed,
		Left: k.omitted, Total: Known(k.info.Total, 0), Free: Known(k.info.Free, 0),
		Abilities: Abilities(k.info),
		Speed:     k.speed.event(), Lock: k.Lock, Stuck: left, Promise: promise}
	if k.doc != nil {
		ev.Store = k.doc.Store.String()
	}
	if k.clock != nil {
		seconds := k.clock.Seconds()
		ev.Clock = &seconds
	}
	k.Tell(ev)
}

// clockOf asks a store that tells its time, in whole seconds, how far its clock is ahead.
func clockOf(b backends.Backend) (time.Duration, bool) {
	c, ok := backends.As[backends.Clock](b)
	if !ok {
		return 0, false
	}
	d, ok := c.ClockDifference()
	if d.Abs() < clockSlack {
		d = 0
	}
	return -d, ok
}

// cleanUp removes what this check has left, also after an interruption.
func (k *check) cleanUp(ctx context.Context) {
	patience := cleanUpTime
	if ctx.Err() != nil {
		patience = hurriedCleanUp
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	k.scratch.remove(ctx, k.scratch.prefix)
	_ = aside.Do(ctx, func(context.Context) error { // what is left is only empty directories
		k.scratch.removeDirs()
		return nil
	})
	if n, why := k.scratch.left(); n > 0 {
		k.Warn("", "left in %s below %s: %s that could not be removed: %v",
			backends.Redact(k.URL), k.scratch.prefix, words.Plural(n, "object", "objects"), why)
	}
}

// cleanUpTime bounds how long removing may take, and hurriedCleanUp when somebody waits for
// the end of the program.
const (
	cleanUpTime    = 2 * time.Minute
	hurriedCleanUp = 5 * time.Second
)
