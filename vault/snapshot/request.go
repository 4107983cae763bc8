package snapshot

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"vaultik/vault/keys"
	"vaultik/vault/layout"
)

const (
	requestType      = "request"
	requestNamespace = "request@vaultik"
	requestBegin     = "-----BEGIN VAULTIK REQUEST-----"
	requestEnd       = "-----END VAULTIK REQUEST-----"
	requestColumns   = 64
)

// MaxRequest bounds a request, in bytes: of its text as well as of what is inside.
const MaxRequest = 512 << 10

// maxHostname is the longest name of a machine, in bytes: DNS allows 253.
const maxHostname = 255

// Request is what a machine asks the owner of a store for: to be trusted. It is no object of
// the store, and proves only that whoever made it has the key: whose key that is, a person
// finds out by its fingerprint.
type Request struct {
	Header
	Store    layout.StoreID `json:"store"`
	Owner    string         `json:"owner"` // fingerprint, as the machine found it in the store
	Host     layout.HostID  `json:"host"`
	Key      keys.PublicKey `json:"key"`
	Roles    []string       `json:"roles"`
	Time     time.Time      `json:"time"`     // by the machine's clock; for people
	Hostname Text           `json:"hostname"` // what the machine calls itself
	// Recipients are those for whom it will encrypt; none if it does not back up.
	Recipients []string `json:"recipients"`
}

func (r *Request) check() error {
	switch {
	case r.Store.IsZero() || r.Host.IsZero() || r.Key.IsZero() || !keys.ValidFingerprint(r.Owner):
		return errors.New("store, owner, host or key is missing")
	case r.Hostname == "" || len(r.Hostname) > maxHostname:
		return errors.New("the name of the machine is missing, or too long")
	}
	if err := CheckRoles(r.Roles); err != nil {
		return err
	}
	if !slices.Contains(r.Roles, RoleWrite) {
		if len(r.Recipients) > 0 {
			return errors.New("recipients of a machine that does not back up")
		}
		return nil
	}
	_, err := keys.ParseRecipients(r.Recipients)
	return err
}

// CheckRoles returns an error unless these are roles that exist, each once and at least one.
func CheckRoles(roles []string) error {
	for i, role := range roles {
		if role != RoleWrite && role != RolePrune {
			return fmt.Errorf("unknown role %.40q", role)
		}
		if slices.Contains(roles[:i], role) {
			return fmt.Errorf("role %q occurs twice", role)
		}
	}
	if len(roles) == 0 {
		return errors.New("no role")
	}
	return nil
}

// EncodeRequest writes a request as text that can be pasted and mailed.
func EncodeRequest(r *Request, signer *keys.Signer) ([]byte, error) {
	c := *r
	c.Header, c.Time = newHeader(requestType), seconds(r.Time)
	c.Roles, c.Recipients = list(r.Roles), list(r.Recipients)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("encode request: %w: %w", ErrInvalid, err)
	}
	if signer == nil || signer.Public() != c.Key {
		return nil, fmt.Errorf("encode request: %w: it is not signed by the key it names", ErrInvalid)
	}
	b, err := encodeSigned(&c, requestNamespace, MaxRequest, signer)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(b)
	var out bytes.Buffer
	out.WriteString(requestBegin + "\n")
	for len(text) > 0 {
		n := min(requestColumns, len(text))
		out.WriteString(text[:n] + "\n")
		text = text[n:]
	}
	out.WriteString(requestEnd + "\n")
	return out.Bytes(), nil
}

// DecodeRequest finds a request in a text, such as a mail, and checks that the key it names has
// signed it. The error is [ErrDamaged].
func DecodeRequest(text []byte) (*Request, error) {
	r, err := decodeRequest(text)
	if err != nil {
		return nil, fmt.Errorf("read request: %w", err)
	}
	return r, nil
}

func decodeRequest(text []byte) (*Request, error) {
	if len(text) > MaxRequest {
		return nil, damaged("too large, %d bytes", len(text))
	}
	b, err := unwrapRequest(text)
	if err != nil {
		return nil, err
	}
	plain, err := decompressNames(b, MaxRequest)
	if err != nil {
		return nil, err
	}
	line, sig, err := splitSigned(plain)
	if err != nil {
		return nil, err
	}
	r, err := parseRequest(line)
	if err != nil {
		return nil, err
	}
	if err := keys.Verify(r.Key, requestNamespace, line, sig); err != nil {
		return nil, damaged("%w", err)
	}
	return r, nil
}

// unwrapRequest takes the request out of the text around it. Mail programs indent lines, put
// marks of quotations before them, and end them with \r\n.
func unwrapRequest(text []byte) ([]byte, error) {
	_, rest, ok := bytes.Cut(text, []byte(requestBegin))
	if !ok {
		return nil, damaged("there is no line %q", requestBegin)
	}
	inside, after, ok := bytes.Cut(rest, []byte(requestEnd))
	if !ok {
		return nil, damaged("there is no line %q", requestEnd)
	}
	if bytes.Contains(after, []byte(requestBegin)) {
		return nil, damaged("there are two of them in the text")
	}
	inside = bytes.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\r', '\n', '>':
			return -1
		}
		return r
	}, inside)
	b, err := base64.StdEncoding.Strict().DecodeString(string(inside))
	if err != nil {
		return nil, damaged("a part of it is missing, or was changed on the way")
	}
	return b, nil
}

func parseRequest(line []byte) (*Request, error) {
	r := new(Request)
	if err := unmarshal(line, requestType, r); err != nil {
		return nil, err
	}
	if err := r.check(); err != nil {
		return nil, damaged("%w", err)
	}
	return r, nil
}
