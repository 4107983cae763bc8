package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"time"

	"vaultik/backends"
	"vaultik/backends/backendtest"
	"vaultik/config"
	"vaultik/vault/layout"
	"vaultik/vault/snapshot"
)

type storeCheckCmd struct {
	Full bool `help:"Ask for all that the program's own tests ask for: objects of up to 64 MiB."`
}

// Help is shown by --help.
func (storeCheckCmd) Help() string {
	return `Tries out a place, whether or not there is a store yet: that what was put is there
and whole, that nothing half is ever seen, that listings are complete, that errors
are told apart. Then it says what the place can do and how fast it is. All of it happens
below check/ in that place, beside any backup, and is removed at the end; what a
check that was killed left there, the next one removes. How much it moves is said first.

It needs no key, and with --store no configuration. It exits 0 only if everything holds
that backups rely on.`
}

// storeCheckEvent is what a place can do, and what store check found.
type storeCheckEvent struct {
	Type   string `json:"type"`            // store-check
	URL    string `json:"url"`             // without secrets
	Store  string `json:"store,omitempty"` // id
	Kind   string `json:"kind"`
	Safety string `json:"safety"` // strong or weak
	Passed int    `json:"passed"`
	Failed int    `json:"failed"`
	Left   int    `json:"omitted"`
	Total  *int64 `json:"total,omitempty"` // bytes
	Free   *int64 `json:"free,omitempty"`
	jsonAbilities
	Lock  string   `json:"object_lock"`                // in words
	Clock *float64 `json:"clock_difference,omitempty"` // seconds that the store's clock is ahead
	jsonSpeed
	Stuck int64 `json:"left_behind"` // objects that could not be removed
}

// storeCheck is one check on its way.
type storeCheck struct {
	s       *session
	url     string
	doc     *snapshot.StoreDoc // nil: no store there
	backend backends.Backend
	info    backends.Info
	scratch scratch
	profile backendtest.Profile
	omit    map[string]string
	lock    string // what was asked for
	clock   *time.Duration
	speed   speed

	passed, failed, omitted int
}

// Run checks.
func (c *storeCheckCmd) Run(ctx context.Context, s *session) (err error) {
	k := &storeCheck{s: s}
	if k.url, err = s.storeURL(); err != nil {
		return err
	}
	if k.lock, err = s.tryLock(ctx, k.url); err != nil {
		return err
	}
	if k.backend, err = s.openPlace(ctx, k.url, backends.Options{}); err != nil {
		return err
	}
	defer func() { _ = k.backend.Close() }()
	conf, err := s.tuning()
	if err != nil {
		return err
	}
	if k.info, err = k.backend.Info(ctx); err != nil {
		return err
	}
	if err := k.look(ctx); err != nil {
		return err
	}
	if k.scratch, err = newScratch(ctx, k.backend, k.url, s.transfers(conf)); err != nil {
		return err
	}
	defer func() {
		if cerr := k.cleanUp(ctx); err == nil {
			err = cerr
		}
	}()
	return k.check(ctx, c.Full)
}

// tryLock opens the place as a backup would where objects are to be locked: that
// fails if they cannot be. It returns what is asked for.
func (s *session) tryLock(ctx context.Context, url string) (string, error) {
	conf, err := s.tuning()
	if err != nil {
		return "", err
	}
	mode, days := conf.S3.LockMode, int64(conf.S3.LockDays)
	bare, own := withoutLock(url)
	switch {
	case bare == "":
		return "not to be had here", nil
	case own.Get("lock") != "":
		mode = own.Get("lock")
		if n, err := strconv.ParseInt(own.Get("lock_days"), 10, 64); err == nil {
			days = n
		}
	}
	if mode == "" {
		return "not asked for: lock=governance&lock_days=N in the URL, or s3: in the configuration", nil
	}
	b, err := s.openUncounted(ctx, url, backends.Options{})
	if err != nil {
		return "", placeError(url, err)
	}
	return mode + ", " + plural(days, "day", "days") + "; what this check writes is not locked", b.Close()
}

// withoutLock is a URL of S3 without what locks objects, and its parameters; "" for
// URLs of other kinds.
func withoutLock(location string) (string, url.Values) {
	u, err := url.Parse(location)
	if err != nil || u.Scheme != "s3" {
		return "", nil
	}
	all := u.Query()
	q := u.Query()
	q.Del("lock")
	q.Del("lock_days")
	u.RawQuery = q.Encode()
	return u.String(), all
}

// checkPatience is how long a check waits for a place that fails: whether it does
// is what it is to find out.
const checkPatience = 2 * time.Minute

// openPlace opens a place that need not be a store, to try things out: nothing that
// is put there is locked, whatever the configuration says.
func (s *session) openPlace(ctx context.Context, url string, o backends.Options) (backends.Backend, error) {
	tuning, err := s.tuning()
	if err != nil {
		return nil, err
	}
	conf := *tuning
	conf.S3.LockMode, conf.S3.LockDays = "", 0
	if conf.Retry.Elapsed < 0 || conf.Retry.Elapsed > checkPatience {
		conf.Retry.Elapsed = checkPatience
	}
	o.Connections = s.transfers(&conf)
	bare, _ := withoutLock(url)
	b, err := s.open(ctx, cmp.Or(bare, url), o, &conf, 0)
	return b, placeError(url, err)
}

// placeError gives a missing place a hint that fits it.
func placeError(url string, err error) error {
	if errors.Is(err, backends.ErrContainerNotFound) {
		hint := "name one that is there"
		if dir := filePath(url); dir != "" {
			hint = "is it mounted? a new one: mkdir " + config.Quote(dir)
		}
		return &hinted{err, hint}
	}
	return err
}

// look reads which store is there, if there is one.
func (k *storeCheck) look(ctx context.Context) error {
	b, err := backends.Objects(k.backend).Get(ctx, layout.StoreJSON, 0, -1)
	if errors.Is(err, backends.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	doc, err := snapshot.DecodeStore(b)
	if err != nil {
		k.s.out.warn("", "%s there cannot be read: %v", layout.StoreJSON, err)
		return nil
	}
	k.doc = &doc
	return nil
}

func (k *storeCheck) check(ctx context.Context, full bool) error {
	clock, latency, err := k.scratch.begin(ctx)
	if err != nil {
		return fmt.Errorf("write to %s: %w", backends.Redact(k.url), err)
	}
	if d, ok := clockOf(k.backend); ok {
		clock = &d
	}
	k.clock = clock
	now := time.Now()
	if clock != nil {
		now = now.Add(*clock)
	}
	k.scratch.sweep(ctx, k.s, now)
	k.plan(full, latency)
	k.announce()
	err = backendtest.Check(ctx, backendtest.Harness{New: k.newStore, Profile: k.profile, Omit: k.omit}, k.report)
	k.s.out.draw("")
	if err != nil {
		return err
	}
	if k.speed, err = measureSpeed(ctx, k.scratch, latency); err != nil {
		return fmt.Errorf("measure the speed of %s: %w", backends.Redact(k.url), err)
	}
	k.summary()
	if k.failed > 0 {
		return &hinted{&unfit{backends.Redact(k.url), k.failed, k.failed + k.passed},
			"keep no backups there before that is cured, and check again: " + k.s.commandHere("store check")}
	}
	return nil
}

// unfit: a place does not keep what backups rely on.
type unfit struct {
	url         string
	failed, all int
}

func (e *unfit) Error() string {
	return fmt.Sprintf("%s does not keep %s of the %d promises that backups rely on", e.url, count(int64(e.failed)), e.all)
}

// patience is how long the longest listing may take to be made. A place where it
// would take longer is asked for fewer objects.
const patience = 3 * time.Minute

// plan decides how much is asked of the place.
func (k *storeCheck) plan(full bool, latency time.Duration) {
	k.profile = backendtest.Light()
	if full {
		k.profile = backendtest.Full()
	}
	k.profile.MaxKey -= len(k.scratch.prefix) + len("000/")
	k.omit = map[string]string{"Missing store": "this place is there already"}
	calls := time.Duration(2*k.profile.Many) * latency / time.Duration(min(16, max(1, k.info.Connections)))
	if !full && calls > patience {
		const few = 100
		k.profile.Calls -= 2 * (k.profile.Many - few)
		k.s.out.note("a call takes %d ms here: the listing is checked with %d objects instead of %s, so that it is not done after %s only; --full asks for all",
			latency.Milliseconds(), few, count(int64(k.profile.Many)), clock(calls))
		k.profile.Many = few
	}
}

// announce says what will be moved, before it is.
func (k *storeCheck) announce() {
	what := "no store there yet"
	if k.doc != nil {
		what = "store " + k.doc.Store.String()
	}
	k.s.out.result("checking %s: %s", backends.Redact(k.url), what)
	k.s.out.result("up to %s go there and %s come back, in about %s calls, all below %s", size(k.profile.Up+2*speedBytes), size(k.profile.Down+2*speedBytes),
		count(int64(k.profile.Calls)), k.scratch.prefix)
}

// newStore gives a case a place of its own.
func (k *storeCheck) newStore(t *backendtest.T) backendtest.Opener {
	if terminalWidth(k.s.out.stderr) > 0 && !k.s.out.quiet {
		k.s.out.draw("checking: " + t.Name)
	}
	// Cases provoke failures, which are made again and no trouble worth telling.
	silent := *k.s
	silent.troubles = newTroubles(&output{stdout: io.Discard, stderr: io.Discard})
	prefix := k.scratch.next()
	t.Cleanup(func() { k.scratch.remove(context.WithoutCancel(t.Context()), prefix) })
	return backendtest.Scratch(func(ctx context.Context, o backends.Options) (backends.Backend, error) {
		return silent.openPlace(ctx, k.url, o)
	}, prefix)
}

// report prints the result of one case.
func (k *storeCheck) report(r backendtest.Result) {
	ev := checkEvent{Type: "check", Name: r.Name, Status: "ok", Seconds: r.Took.Seconds()}
	switch {
	case r.Omitted != "":
		k.omitted++
		ev.Status, ev.Detail = "omitted", r.Omitted
		k.s.out.result("left out  %-30s %s", r.Name, r.Omitted)
	case len(r.Failures) > 0:
		k.failed++
		ev.Status, ev.Detail = "failed", config.Scrub(strings.Join(r.Failures, "; "))
		k.s.out.result("failed    %-30s %s", r.Name, took(r.Took))
		for _, f := range r.Failures {
			k.s.out.result("            %s", printable(config.Scrub(f)))
		}
	default:
		k.passed++
		text := took(r.Took)
		if r.Lacks != "" {
			ev.Detail = "the place cannot do this, and says so: " + r.Lacks
			text += "  " + ev.Detail
		}
		k.s.out.result("ok        %-30s %s", r.Name, text)
	}
	k.s.out.event(ev)
}

// summary says what the place can do.
func (k *storeCheck) summary() {
	left, _ := k.scratch.left()
	word, meaning := safety(k.doc, k.info.ConditionalPut)
	rows := append(abilities(k.info), [2]string{"object lock", k.lock}, [2]string{"clock", k.clockText()}, [2]string{"space", room(k.info)})
	rows = append(rows, k.speed.rows()...)
	k.s.out.result("")
	k.s.out.table(append(rows, [2]string{"safety", word + ": " + meaning}))
	if k.failed == 0 {
		k.s.out.result("")
		k.s.out.result("all %d promises hold that backups rely on", k.passed)
	}
	ev := storeCheckEvent{Type: "store-check", URL: backends.Redact(k.url), Kind: k.info.Kind, Safety: word, Passed: k.passed, Failed: k.failed,
		Left: k.omitted, Total: known(k.info.Total, 0), Free: known(k.info.Free, 0), jsonAbilities: jsonAbilitiesOf(k.info),
		jsonSpeed: k.speed.json(), Lock: k.lock, Stuck: left}
	if k.doc != nil {
		ev.Store = k.doc.Store.String()
	}
	if k.clock != nil {
		seconds := k.clock.Seconds()
		ev.Clock = &seconds
	}
	k.s.out.event(ev)
}

// clockText says how the store's clock stands to ours.
func (k *storeCheck) clockText() string {
	switch {
	case k.clock == nil, *k.clock == 0 && k.info.Kind == "rclone": // who often sets the times of objects itself
		return "not known"
	case *k.clock == 0:
		return "as this machine's"
	case *k.clock > 0:
		return took(*k.clock) + " ahead of this machine's"
	}
	return took(-*k.clock) + " behind this machine's"
}

// clockOf asks a store that tells its time, in whole seconds, how far its clock is ahead.
func clockOf(b backends.Backend) (time.Duration, bool) {
	for {
		if c, ok := b.(interface{ ClockDifference() (time.Duration, bool) }); ok {
			d, ok := c.ClockDifference()
			if d.Abs() < clockSlack {
				d = 0
			}
			return -d, ok
		}
		w, ok := b.(interface{ Unwrap() backends.Backend })
		if !ok {
			return 0, false
		}
		b = w.Unwrap()
	}
}

// cleanUp removes what this check has left, also after Ctrl-C.
func (k *storeCheck) cleanUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	k.scratch.remove(ctx, k.scratch.prefix)
	k.scratch.removeDirs()
	if n, why := k.scratch.left(); n > 0 {
		k.s.out.warn("", "left behind in %s below %s: %s that could not be removed: %v", backends.Redact(k.url), k.scratch.prefix, plural(n, "object", "objects"), why)
	}
	return nil
}

// cleanUpTime bounds how long removing may take.
const cleanUpTime = 2 * time.Minute
