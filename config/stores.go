package config

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"vaultik/internal/bandwidth"
)

// Retry says how patient the program is with a store.
type Retry struct {
	Elapsed time.Duration // without progress until a call fails; < 0: unlimited
	Stall   time.Duration // that a transfer may stall; < 0: forever

	SlowStore bool // accept transfers that hardly move
}

// ElapsedText is Elapsed as written in the file.
func (r Retry) ElapsedText() string { return formatDuration(r.Elapsed, "unlimited") }

// StallText is Stall as written in the file.
func (r Retry) StallText() string { return formatDuration(r.Stall, "off") }

// Limits of Retry, and its defaults.
const (
	DefaultElapsed = 15 * time.Minute
	DefaultStall   = 5 * time.Minute
	MinElapsed     = time.Second
	MinStall       = 10 * time.Second // less would end transfers that are only slow
	maxPatience    = 30 * 24 * time.Hour
)

// S3 are the settings of s3:// stores; a parameter of the URL of the same name wins.
type S3 struct {
	Endpoint     string // https://host[:port]; "": AWS
	Region       string
	Lookup       string // "auto", "path", "dns" or ""
	CAFile       string // absolute path or ""
	StorageClass string
	LockMode     string // "governance", "compliance" or ""
	LockDays     int
	Credentials  S3Credentials
}

// S3Credentials says where the key is, never what it is.
type S3Credentials struct {
	Source  string // "env", "file", "profile", "command", "iam", "anonymous" or ""
	Path    string // absolute path or ""
	Profile string
	Command []string // program and arguments, or nil
}

// Rclone are the settings of rclone:// stores.
type Rclone struct {
	Config          string   // absolute path or "": where rclone has it
	PasswordCommand []string // program and arguments, or nil
	VerifyUpload    string   // "hash", "size" or ""
}

// storeSetting reads the settings of how stores are reached.
func (l *loader) storeSetting(key string, v ast.Node) (err error) {
	c := l.cfg
	switch key {
	case "bwlimit":
		var s string
		if s, err = l.text(key, v); err != nil {
			return err
		}
		if c.BWLimit, err = bandwidth.Parse(s); err != nil {
			return l.fail(v, "bwlimit: %v", err)
		}
	case "connections", "parallel":
		c.Parallel, err = l.number(key, v, MinParallel, MaxParallel)
		if err == nil && l.line["connections"] > 0 && l.line["parallel"] > 0 {
			err = l.fail(v, "connections and parallel are two names for one setting; write only connections")
		}
	case "retry":
		err = l.mapping(v, key, []string{"elapsed", "stall", "slow_store"}, l.retry)
	case "s3":
		if err = l.mapping(v, key, []string{"endpoint", "region", "lookup", "ca_file", "storage_class", "lock_mode", "lock_days", "credentials"}, l.s3); err == nil {
			err = l.checkS3(v)
		}
	case "rclone":
		err = l.mapping(v, key, []string{"config", "password_command", "verify_upload"}, l.rclone)
	}
	return err
}

func (l *loader) retry(key string, v ast.Node) (err error) {
	r := &l.cfg.Retry
	switch key {
	case "elapsed":
		r.Elapsed, err = l.duration("retry: elapsed", v, "unlimited", MinElapsed)
	case "stall":
		r.Stall, err = l.duration("retry: stall", v, "off", MinStall)
	case "slow_store":
		var s Switch
		s, err = l.flag("retry: slow_store", v)
		r.SlowStore = s.On
	}
	return err
}

func (l *loader) s3(key string, v ast.Node) (err error) {
	s, in := &l.cfg.S3, "s3: "+key
	switch key {
	case "endpoint":
		if s.Endpoint, err = l.text(in, v); err != nil {
			return err
		}
		u, uerr := url.Parse(s.Endpoint)
		switch {
		case uerr != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
			return l.fail(v, "%s must be a URL such as https://s3.example.org:9000", in)
		case u.User != nil:
			return l.fail(v, "%s contains a user name or a password; remove them, see s3: credentials", in)
		case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
			return l.fail(v, "%s must end after the host and port; bucket and prefix belong in storage_url", in)
		}
	case "region":
		s.Region, err = l.text(in, v)
	case "lookup":
		s.Lookup, err = l.oneOf(in, v, "auto", "path", "dns")
	case "ca_file":
		s.CAFile, err = l.path(in, v)
	case "storage_class":
		s.StorageClass, err = l.text(in, v)
	case "lock_mode":
		s.LockMode, err = l.oneOf(in, v, "governance", "compliance")
	case "lock_days":
		s.LockDays, err = l.number(in, v, 1, 36500)
	case "credentials":
		err = l.mapping(v, in, []string{"source", "path", "profile", "command"}, l.credentials)
	}
	return err
}

func (l *loader) credentials(key string, v ast.Node) (err error) {
	c, in := &l.cfg.S3.Credentials, "s3: credentials: "+key
	switch key {
	case "source":
		c.Source, err = l.oneOf(in, v, "env", "file", "profile", "command", "iam", "anonymous")
	case "path":
		c.Path, err = l.path(in, v)
	case "profile":
		c.Profile, err = l.text(in, v)
	case "command":
		c.Command, err = l.command(in, v)
	}
	return err
}

// checkS3 checks what needs more than one setting.
func (l *loader) checkS3(v ast.Node) error {
	s := &l.cfg.S3
	c := &s.Credentials
	switch {
	case s.LockMode == "" != (s.LockDays == 0):
		return l.fail(v, "s3: lock_mode and lock_days belong together")
	case c.Source == "file" && c.Path == "":
		return l.fail(v, "s3: credentials: source file needs path, the file with key id and secret")
	case c.Source == "command" && c.Command == nil:
		return l.fail(v, "s3: credentials: source command needs command, such as [pass, show, s3]")
	case c.Path != "" && c.Source != "file" && c.Source != "profile":
		return l.fail(v, "s3: credentials: path needs source file or profile")
	case c.Profile != "" && c.Source != "profile":
		return l.fail(v, "s3: credentials: profile needs source profile")
	case c.Command != nil && c.Source != "command":
		return l.fail(v, "s3: credentials: command needs source command")
	}
	return nil
}

func (l *loader) rclone(key string, v ast.Node) (err error) {
	r, in := &l.cfg.Rclone, "rclone: "+key
	switch key {
	case "config":
		r.Config, err = l.path(in, v)
	case "password_command":
		r.PasswordCommand, err = l.command(in, v)
	case "verify_upload":
		r.VerifyUpload, err = l.oneOf(in, v, "hash", "size")
	}
	return err
}

// duration reads a time such as 90s, 15m or 1h30m; never is the word for no end, < 0.
func (l *loader) duration(key string, v ast.Node, never string, low time.Duration) (time.Duration, error) {
	s, err := l.text(key, v)
	if err != nil {
		return 0, err
	}
	if s == never {
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, l.fail(v, "%s: %q is not a duration; write it like 90s, 15m, 1h30m, or %s", key, s, never)
	}
	if d < low || d > maxPatience {
		return 0, l.fail(v, "%s: %s is outside %s to %s; for no limit write %s", key, s, formatDuration(low, never), formatDuration(maxPatience, never), never)
	}
	return d, nil
}

// formatDuration writes a time as duration reads it.
func formatDuration(d time.Duration, never string) string {
	if d < 0 {
		return never
	}
	s := d.String()
	s = strings.TrimSuffix(s, "m0s") + map[bool]string{true: "m"}[strings.HasSuffix(s, "m0s")]
	return strings.TrimSuffix(s, "h0m") + map[bool]string{true: "h"}[strings.HasSuffix(s, "h0m")]
}

func (l *loader) oneOf(key string, v ast.Node, known ...string) (string, error) {
	s, err := l.text(key, v)
	if err != nil {
		return "", err
	}
	if !slices.Contains(known, s) {
		return "", l.fail(v, "%s: %q is not known; %s", key, s, didYouMean(s, known))
	}
	return s, nil
}

// command reads a program and its arguments; ~ and variables are not expanded.
func (l *loader) command(key string, v ast.Node) ([]string, error) {
	items, err := l.list(key, v)
	if err != nil {
		return nil, err
	}
	out := make([]string, 0, len(items))
	for _, n := range items {
		s, err := l.text(key, n)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// storeSettings are those of this file with their effective values; settings that are
// not set and have no default are omitted.
func (c *Config) storeSettings() []Setting {
	list := []Setting{
		{"bwlimit", c.BWLimit.String()},
		{"connections", c.Parallel},
		{"retry", []Setting{
			{"elapsed", c.Retry.ElapsedText()},
			{"stall", c.Retry.StallText()},
			{"slow_store", c.Retry.SlowStore},
		}},
	}
	s, cr := &c.S3, &c.S3.Credentials
	credentials := written([]Setting{{"source", cr.Source}, {"path", cr.Path}, {"profile", cr.Profile}, {"command", cr.Command}})
	return append(list, written([]Setting{
		{"s3", written([]Setting{
			{"endpoint", s.Endpoint}, {"region", s.Region}, {"lookup", s.Lookup}, {"ca_file", s.CAFile}, {"storage_class", s.StorageClass},
			{"lock_mode", s.LockMode}, {"lock_days", s.LockDays}, {"credentials", credentials},
		})},
		{"rclone", written([]Setting{
			{"config", c.Rclone.Config}, {"password_command", c.Rclone.PasswordCommand}, {"verify_upload", c.Rclone.VerifyUpload},
		})},
	})...)
}

// written omits settings that have no value.
func written(list []Setting) []Setting {
	return slices.DeleteFunc(list, func(s Setting) bool {
		switch v := s.Value.(type) {
		case string:
			return v == ""
		case int:
			return v == 0
		case []string:
			return len(v) == 0
		case []Setting:
			return len(v) == 0
		}
		return false
	})
}
