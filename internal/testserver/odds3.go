package testserver

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// OddS3 is a server of S3 in this process, with one bucket and objects in memory, that
// believes everybody. What makes it odd is its Oddity.
type OddS3 struct {
	*httptest.Server

	mu      sync.Mutex
	odd     Oddity
	objects map[string][]byte
}

// Oddity is what a server does instead of what it should.
type Oddity struct {
	// Answer, if set, is asked first; true: it has answered. The objects may not be used.
	Answer func(w http.ResponseWriter, r *http.Request) bool
	// Order, if set, puts the names of a list into another order than the ascending one.
	Order func(names []string)
	// NoRanges: a request for a part is answered with all of the object.
	NoRanges bool
}

const oddBucket = "bucket"

// NewOddS3 starts one until the test ends.
func NewOddS3(t testing.TB) *OddS3 {
	t.Helper()
	s := &OddS3{objects: map[string][]byte{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(func() {
		s.CloseClientConnections() // a handler may never end by itself
		s.Close()
	})
	return s
}

// StoreURL is the URL of a store in it.
func (s *OddS3) StoreURL(prefix string) string {
	return "s3://" + oddBucket + "/" + prefix + "?credentials=anonymous&endpoint=" + s.URL
}

// Be makes it odd, or with a zero Oddity sane.
func (s *OddS3) Be(o Oddity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.odd = o
}

// Objects are the names of what it has.
func (s *OddS3) Objects() (names []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.objects {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (s *OddS3) oddity() Oddity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.odd
}

func (s *OddS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	odd := s.oddity()
	if odd.Answer != nil && odd.Answer(w, r) {
		return
	}
	bucket, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case bucket != oddBucket:
		RefuseS3(w, http.StatusNotFound, "NoSuchBucket", "there is no such bucket")
	case name == "":
		s.list(w, r, odd)
	case r.Method == http.MethodPut:
		s.put(w, r, name)
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		delete(s.objects, name)
		s.mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
	default:
		s.get(w, r, name, odd)
	}
}

// RefuseS3 answers as a server of S3 does that refuses.
func RefuseS3(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`,
		code, message)
}

func (s *OddS3) put(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	sum := sha256.Sum256(body)
	sent := r.Header.Get("X-Amz-Checksum-Sha256")
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.objects[name]
	switch {
	case sent != base64.StdEncoding.EncodeToString(sum[:]):
		RefuseS3(w, http.StatusBadRequest, "BadDigest", "other bytes have arrived")
	case taken && r.Header.Get("If-None-Match") == "*":
		RefuseS3(w, http.StatusPreconditionFailed, "PreconditionFailed", "it exists")
	default:
		s.objects[name] = body
		w.Header().Set("X-Amz-Checksum-Sha256", sent)
	}
}

func (s *OddS3) get(w http.ResponseWriter, r *http.Request, name string, odd Oddity) {
	s.mu.Lock()
	data, ok := s.objects[name]
	s.mu.Unlock()
	if !ok {
		RefuseS3(w, http.StatusNotFound, "NoSuchKey", "there is no such object")
		return
	}
	if odd.NoRanges {
		r.Header.Del("Range")
	}
	http.ServeContent(w, r, "", time.Unix(1e9, 0), bytes.NewReader(data))
}

// list answers with one page of names. A token is the number of those before.
func (s *OddS3) list(w http.ResponseWriter, r *http.Request, odd Oddity) {
	q := r.URL.Query()
	var names []string
	for _, name := range s.Objects() {
		if strings.HasPrefix(name, q.Get("prefix")) {
			names = append(names, name)
		}
	}
	if odd.Order != nil {
		odd.Order(names)
	}
	first, size := 0, 1000
	_, _ = fmt.Sscan(q.Get("continuation-token"), &first)
	_, _ = fmt.Sscan(q.Get("max-keys"), &size)
	size = min(size, 1000)
	names = names[min(first, len(names)):]
	more := len(names) > size
	names = names[:min(size, len(names))]
	fmt.Fprintf(w, `<ListBucketResult><IsTruncated>%t</IsTruncated>`, more)
	fmt.Fprintf(w, `<NextContinuationToken>%d</NextContinuationToken>`, first+len(names))
	for _, name := range names {
		s.mu.Lock()
		n := len(s.objects[name])
		s.mu.Unlock()
		fmt.Fprintf(w, `<Contents><Key>%s</Key><Size>%d</Size>`, name, n)
		fmt.Fprint(w, `<LastModified>2001-09-09T01:46:40.123Z</LastModified></Contents>`)
	}
	fmt.Fprint(w, `</ListBucketResult>`)
}
