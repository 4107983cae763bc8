package s3

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"vaultik/backends"
)

const (
	// aws is where S3 is if nothing else is said.
	aws = "https://s3.amazonaws.com"

	// maxPrefix is what the 1024 bytes of a name in S3 leave beside a key.
	maxPrefix = 1024 - backends.MaxKey - 1

	maxLockDays = 36500 // a century, the limit of S3 itself
)

// settings is what the URL and the options say, checked.
type settings struct {
	bucket   string
	prefix   string   // "" or ends with "/"
	endpoint *url.URL // scheme and host only
	region   string   // "": not said
	lookup   minio.BucketLookupType
	roots    *x509.CertPool // nil: the system's
	class    string
	lock     minio.RetentionMode // "": no lock
	lockDays int
	oldest   bool // versions=oldest
	creds    backends.S3Credentials
}

// parameters of the URL, and where each goes.
var parameters = map[string]func(*backends.S3Options, string) error{
	"endpoint":      func(o *backends.S3Options, v string) error { o.Endpoint = v; return nil },
	"region":        func(o *backends.S3Options, v string) error { o.Region = v; return nil },
	"lookup":        func(o *backends.S3Options, v string) error { o.Lookup = v; return nil },
	"ca_file":       func(o *backends.S3Options, v string) error { o.CAFile = v; return nil },
	"storage_class": func(o *backends.S3Options, v string) error { o.StorageClass = v; return nil },
	"lock":          func(o *backends.S3Options, v string) error { o.LockMode = v; return nil },
	"versions":      func(o *backends.S3Options, v string) error { o.Versions = v; return nil },
	"credentials":   func(o *backends.S3Options, v string) error { setSource(&o.Credentials, v); return nil },
	"profile":       func(o *backends.S3Options, v string) error { o.Credentials.Profile = v; return nil },
	"lock_days": func(o *backends.S3Options, v string) (err error) {
		if o.LockDays, err = strconv.Atoi(v); err != nil {
			return errors.New("lock_days is not a number of days")
		}
		return nil
	},
}

// setSource names another source than the options do; what they say of theirs no
// longer counts.
func setSource(c *backends.S3Credentials, source string) {
	if c.Source != source {
		*c = backends.S3Credentials{Source: source, Profile: c.Profile}
	}
}

// location is the URL of a store as it may be shown.
func location(u *url.URL) string { return backends.Redact(u.String()) }

// parseSettings checks all that can be checked without asking anybody. Its errors
// never repeat a value of the query: somebody may have put a key there.
func parseSettings(u *url.URL, o backends.S3Options) (*settings, error) {
	if u.User != nil {
		return nil, errors.New("the URL has user information; credentials are never part of it (s3: credentials: in the configuration)")
	}
	if u.Fragment != "" {
		return nil, errors.New("the URL has a fragment; write # as %23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, errors.New("malformed query in the URL")
	}
	for name, values := range query {
		set := parameters[name]
		switch {
		case set == nil:
			return nil, fmt.Errorf("unknown parameter %.40q in the URL (known: %s)", name, strings.Join(slices.Sorted(maps.Keys(parameters)), ", "))
		case len(values) != 1:
			return nil, fmt.Errorf("parameter %s occurs in the URL more than once", name)
		}
		if err := set(&o, values[0]); err != nil {
			return nil, err
		}
	}
	switch {
	case !query.Has("profile"):
	case !query.Has("credentials"):
		setSource(&o.Credentials, "profile")
	case o.Credentials.Source != "profile":
		return nil, errors.New("profile needs credentials=profile")
	}
	s := &settings{
		bucket: u.Host, region: o.Region, class: o.StorageClass, creds: o.Credentials,
		oldest: o.Versions == "oldest",
	}
	for _, step := range []func() error{
		func() error { return s.setPlace(u) },
		func() error { return s.setEndpoint(o.Endpoint) },
		func() error { return s.setLookup(o.Lookup) },
		func() error { return s.setLock(o.LockMode, o.LockDays) },
		func() error { return s.setRoots(o.CAFile) },
		func() error {
			if o.Versions != "" && !s.oldest {
				return errors.New("versions must be oldest")
			}
			return nil
		},
		func() error { return plain("region", s.region) },
		func() error { return plain("storage_class", s.class) },
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// plain refuses what could not stand in a header or a host name.
func plain(name, value string) error {
	for _, c := range value {
		if c != '-' && c != '_' && c != '.' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return fmt.Errorf("%s may contain only letters, digits, - and _", name)
		}
	}
	return nil
}

func (s *settings) setPlace(u *url.URL) error {
	if strings.Contains(s.bucket, ":") {
		return errors.New("the URL names a server; write s3://BUCKET/PREFIX?endpoint=https://HOST:PORT")
	}
	if s.bucket == "" {
		return errors.New("the URL names no bucket; write s3://BUCKET/PREFIX")
	}
	if err := s3utils.CheckValidBucketName(s.bucket); err != nil {
		return fmt.Errorf("bucket %.80q: %w", s.bucket, err)
	}
	path := strings.Trim(u.Path, "/")
	if path == "" {
		return nil
	}
	for part := range strings.SplitSeq(path, "/") {
		if part == "" || part == "." || part == ".." {
			return fmt.Errorf("prefix %.80q holds an empty part, or . or .. as one", path)
		}
	}
	if len(path) > maxPrefix {
		return fmt.Errorf("the prefix has %d bytes, at most %d", len(path), maxPrefix)
	}
	if err := s3utils.CheckValidObjectNamePrefix(path); err != nil {
		return fmt.Errorf("prefix %.80q: %w", path, err)
	}
	s.prefix = path + "/"
	return nil
}

func (s *settings) setEndpoint(text string) error {
	const example = "write it like https://s3.example.net:9000"
	if text == "" {
		text = aws
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return errors.New("malformed endpoint; " + example)
	case u.User != nil:
		return errors.New("the endpoint has user information; credentials are never part of it")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the endpoint does not begin with https:// or http://; " + example)
	case u.Hostname() == "":
		return errors.New("the endpoint names no host; " + example)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return errors.New("the endpoint must be only a host and a port; " + example)
	}
	s.endpoint = &url.URL{Scheme: u.Scheme, Host: u.Host}
	if s.region == "" && !s.isAWS() { // s3.amazonaws.com itself says nothing
		s.region = s3utils.GetRegionFromURL(*s.endpoint)
	}
	return nil
}

// isAWS reports whether the endpoint is Amazon's, where the region is part of the host.
func (s *settings) isAWS() bool { return s.endpoint.String() == aws }

func (s *settings) setLookup(text string) error {
	switch text {
	case "", "auto":
		s.lookup = minio.BucketLookupAuto
	case "path":
		s.lookup = minio.BucketLookupPath
	case "dns":
		if net.ParseIP(s.endpoint.Hostname()) != nil {
			return errors.New("lookup dns needs an endpoint with a name, not an address: the bucket becomes part of it")
		}
		s.lookup = minio.BucketLookupDNS
	default:
		return errors.New("lookup must be auto, path or dns")
	}
	return nil
}

func (s *settings) setLock(mode string, days int) error {
	switch mode {
	case "":
		if days != 0 {
			return errors.New("lock_days without lock; write lock=governance or lock=compliance")
		}
		return nil
	case "governance":
		s.lock = minio.Governance
	case "compliance":
		s.lock = minio.Compliance
	default:
		return errors.New("lock must be governance or compliance")
	}
	if days < 1 || days > maxLockDays {
		return fmt.Errorf("lock needs lock_days, 1 to %d", maxLockDays)
	}
	s.lockDays = days
	return nil
}

func (s *settings) setRoots(file string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read ca_file: %w", err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool() // a system without any; the file is what counts
	}
	if !roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("ca_file %s has no certificate in PEM form", file)
	}
	s.roots = roots
	return nil
}
