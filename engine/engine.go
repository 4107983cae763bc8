package engine

import (
	"context"
	"errors"
	"fmt"

	"vaultik/backends/limit"
	"vaultik/config"
	"vaultik/engine/events"
	"vaultik/internal/fault"
	"vaultik/messages"
	"vaultik/vault/keys"
)

// Options hold for every request. The zero value asks the configuration for everything.
type Options struct {
	Config      string  // configuration file as it was named, "" for the usual one
	Store       *string // URL as it was named, instead of the configured one
	Owner       string  // fingerprint that the store's owner must have, "" for what was pinned
	BWLimit     *string // instead of the configured one
	Connections int     // transfers at once, 1 to 64; 0 for the configured number
	SlowStore   bool    // accept transfers that hardly move, whatever is configured
	NoCache     bool    // read everything from the store
	Tool        string  // program and version, for the record of a snapshot

	Identity   *keys.Identity // the secret key; nil: none
	NoIdentity error          // why it is nil: keys.ErrNoIdentity or keys.ErrBadIdentity

	// LimitMemory is told how many bytes a job may take in all before it takes them:
	// what the process as a whole may take is for its owner to say. It may be nil.
	LimitMemory func(bytes int64)
}

// Engine answers requests. It holds no state: its methods may be called from many
// goroutines at once.
type Engine struct {
	o        Options
	schedule *limit.Schedule // of Options.BWLimit
}

// Open checks options. It opens nothing yet and reads no configuration.
func Open(o Options) (*Engine, error) {
	if o.Owner != "" && !keys.ValidFingerprint(o.Owner) {
		return nil, fault.Misuse("",
			fmt.Sprintf("--owner: %q is not a fingerprint; write it like SHA256:47DEQpj8...",
				o.Owner))
	}
	if o.Store != nil && *o.Store == "" {
		return nil, fault.Misuse("", "--store: the URL is empty")
	}
	if o.Connections != 0 {
		if err := config.CheckParallel(o.Connections); err != nil {
			return nil, fault.Misuse("", "--connections: "+err.Error())
		}
	}
	if o.Identity == nil && o.NoIdentity == nil {
		o.NoIdentity = keys.ErrNoIdentity
	}
	e := &Engine{o: o}
	if o.BWLimit != nil {
		schedule, err := limit.Parse(*o.BWLimit)
		if err != nil {
			return nil, fault.Misuse("", "--bwlimit: "+err.Error())
		}
		e.schedule = &schedule
	}
	return e, nil
}

// Places are where the files of the program are.
func (e *Engine) Places(ctx context.Context, sink events.Sink) (config.Places, error) {
	j := e.begin("config path", sink)
	return attended(ctx, j, func() (config.Places, error) { return j.places, nil })
}

// Config reads the configuration. What is wrong with it and works all the same is said.
func (e *Engine) Config(ctx context.Context, sink events.Sink) (*config.Config, error) {
	j := e.begin("config show", sink)
	return attended(ctx, j, j.config)
}

// ErrInterrupted says that the context of a request has ended, and so it has. What was
// stored, or restored, stays.
var ErrInterrupted error = interrupted{}

type interrupted struct{}

func (interrupted) Error() string    { return "interrupted" }
func (interrupted) Exit() fault.Code { return fault.Interrupted }

// job is one request on its way.
type job struct {
	*Engine
	events.Voice
	command string // that asks for it, for hints
	sum     sums

	conf  *config.Config // once loaded
	tuned *config.Config // instead of one that is broken

	*attention
	places config.Places // once a request is attended, as is state
	state  config.State

	limits *limit.Limiter // of all stores, once needed
	// Its end says that the job is to stop, and go on as long as it may; nil: none.
	patience context.Context
	troubles *troubles
	dry      bool // nothing may be written, state files included
	older    bool // the store may be older than what was seen of it: the owner says so

	forgetful bool               // it was said that nothing can be remembered
	strays    map[strayKind]bool // that were told of

	within string // of SNAPSHOT:PATH, as it was given
	rest   string // of the command line, behind that
}

// sums are the totals, while they grow.
type sums struct{ events.Totals }

// begin is a job from fresh state.
func (e *Engine) begin(command string, sink events.Sink) *job {
	voice := events.Voice{Sink: sink}
	return &job{Engine: e, Voice: voice, command: command, attention: &attention{},
		troubles: newTroubles(voice)}
}

// totals are what the job has counted, at its end.
func (j *job) totals() events.Totals {
	j.sum.Retries = j.troubles.sum()
	return j.sum.Totals
}

// locate finds the places of the program, which may be on a file system that hangs.
func (j *job) locate() (err error) {
	if j.places, err = config.FindPlaces(j.o.Config, j.touch); err != nil {
		return err
	}
	j.state = j.places.StateFiles()
	return nil
}

// config loads the configuration once and warns of what is wrong but works.
func (j *job) config() (*config.Config, error) {
	if j.conf != nil {
		return j.conf, nil
	}
	defer j.touch(j.places.Config)()
	c, err := config.Load(j.places.Config)
	if errors.Is(err, config.ErrMissing) && j.places.Named != "" {
		return nil, &namedMissing{j.places.Config, j.places.Named}
	}
	if err == nil {
		err = j.forWhom(c)
	}
	if err != nil {
		return nil, err
	}
	j.hangAfter.Store(int64(hangsAfter(c.Retry.Stall)))
	for _, w := range c.Warnings {
		j.Warn("", "%s", w)
	}
	for _, f := range j.places.Exposed() {
		j.Warn("chmod 600 "+config.Quote(f), "%s can be read or changed by other users", f)
	}
	j.conf = c
	return c, nil
}

// forWhom fails if a configuration does not say for whom to encrypt, unless this machine only
// prunes.
func (j *job) forWhom(c *config.Config) error {
	err := c.NeedRecipients()
	if err == nil {
		return nil
	}
	if h, herr := j.state.LoadHost(); herr == nil && !h.BacksUp() {
		return nil
	}
	return err
}

// needIdentity is for jobs that cannot do without: ErrNoIdentity or ErrBadIdentity.
func (j *job) needIdentity() (*keys.Identity, error) {
	if j.o.Identity == nil {
		return nil, j.o.NoIdentity
	}
	return j.o.Identity, nil
}

// optionalIdentity is for jobs that tell more with it: nil where none is given, an
// error where one is given and malformed.
func (j *job) optionalIdentity() (*keys.Identity, error) {
	if j.o.Identity == nil && !errors.Is(j.o.NoIdentity, keys.ErrNoIdentity) {
		return nil, j.o.NoIdentity
	}
	return j.o.Identity, nil
}

// storeURL is the store that was named, else the configured one.
func (j *job) storeURL() (string, error) {
	if j.o.Store != nil {
		url, err := config.StoreURL(*j.o.Store)
		if err != nil {
			return "", fault.Misuse("", "--store: "+err.Error())
		}
		return url, nil
	}
	c, err := j.config()
	if errors.Is(err, config.ErrMissing) {
		return "", &noStoreNamed{err}
	}
	if err != nil {
		return "", err
	}
	return c.StorageURL, nil
}

// limitMemory tells the owner of the process what the job takes.
func (j *job) limitMemory(bytes int64) {
	if j.o.LimitMemory != nil {
		j.o.LimitMemory(bytes)
	}
}

// effort is how many transfers run at once, and how much memory a job takes.
func (j *job) effort() (transfers int, memory int64, err error) {
	c, err := j.tuning()
	if err != nil {
		return 0, 0, err
	}
	j.limitMemory(c.Memory)
	return j.transfers(c), c.Memory, nil
}

// show has the sink show how a part of the job comes on, until stop is called.
func (j *job) show(p *messages.Progress) (stop func()) {
	return j.shows(j.Watch(events.Work{Progress: p, Waiting: j.troubles.waiting}))
}
