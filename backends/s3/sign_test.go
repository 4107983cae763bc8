package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	miniosigner "github.com/minio/minio-go/v7/pkg/signer"
)

// key signs as testID does on the day of now.
func testKey(now time.Time, region, token string) *signing {
	g := newGrant([]byte(testSecret), make([]byte, hmacScratch), need{now, region}, 1)
	day, key, _ := g.on(now)
	return &signing{id: testID, token: token, scope: scopeOf(day, region), key: key}
}

// The examples of Amazon's own description of the signature.
func TestSign_Published(t *testing.T) {
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	hash := sha256.Sum256([]byte("Welcome to Amazon S3."))
	for name, c := range map[string]struct {
		method, url string
		header      http.Header
		want        string
	}{
		"get object": {
			"GET", "https://examplebucket.s3.amazonaws.com/test.txt", http.Header{"Range": {"bytes=0-9"}},
			"f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
		},
		"put object": {
			"PUT", "https://examplebucket.s3.amazonaws.com/test%24file.text",
			http.Header{"Date": {"Fri, 24 May 2013 00:00:00 GMT"}, "X-Amz-Storage-Class": {"REDUCED_REDUNDANCY"}, "X-Amz-Content-Sha256": {hex.EncodeToString(hash[:])}},
			"98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
		},
		"get lifecycle": {
			"GET", "https://examplebucket.s3.amazonaws.com?lifecycle", nil,
			"fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
		},
		"list": {
			"GET", "https://examplebucket.s3.amazonaws.com?max-keys=2&prefix=J", nil,
			"34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
		},
	} {
		req, err := http.NewRequest(c.method, c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != nil {
			req.Header = c.header
		}
		testKey(now, "us-east-1", "").sign(req, now)
		if got := req.Header.Get("Authorization"); !strings.HasSuffix(got, "Signature="+c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// minio-go's signer, which works with the real thing, signs the same.
func TestSign_LikeMinio(t *testing.T) {
	for _, c := range []struct {
		method, url, region, token string
		header                     http.Header
	}{
		{"GET", "http://127.0.0.1:9000/b/p/h/x", "us-east-1", "", nil},
		{"HEAD", "https://b.s3.eu-west-1.amazonaws.com/p%20q/%C3%A9/x", "eu-west-1", "token/with+signs==", nil},
		{"GET", "http://h/b/?list-type=2&prefix=p%20q%2F%C3%A9&encoding-type=url&delimiter=&continuation-token=a%2Bb%3D", "x", "", nil},
		{"PUT", "http://h:80/b/x", "us-east-1", "t", http.Header{
			"If-None-Match": {"*"}, "X-Amz-Checksum-Sha256": {"abc="}, "X-Amz-Object-Lock-Mode": {"GOVERNANCE"},
			"Content-Type": {"application/octet-stream"}, "User-Agent": {"vaultik"}, "X-Amz-Meta-Odd": {"  two   words "},
		}},
		{"DELETE", "http://[::1]:9000/b/x?versionId=1", "", "", http.Header{"Accept-Encoding": {"gzip"}}},
	} {
		same := false
		for !same { // until both signed in the same second
			ours, err := http.NewRequest(c.method, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range c.header {
				ours.Header[name] = v
			}
			ours.Header.Set("X-Amz-Content-Sha256", emptySHA256)
			theirs := miniosigner.SignV4(*ours.Clone(t.Context()), testID, testSecret, c.token, c.region)
			now := time.Now()
			testKey(now, c.region, c.token).sign(ours, now)
			if same = ours.Header.Get("X-Amz-Date") == theirs.Header.Get("X-Amz-Date"); !same {
				continue
			}
			if got, want := ours.Header.Get("Authorization"), theirs.Header.Get("Authorization"); got != want {
				t.Errorf("%s %s:\n%s, want\n%s", c.method, c.url, got, want)
			}
		}
	}
}

// What may change on the way is not signed.
func TestSign_Unsigned(t *testing.T) {
	req, err := http.NewRequest(http.MethodPut, "http://h/b/x", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Expect": {"100-continue"}, "Cookie": {"a=b"}, "User-Agent": {"x"}, "Connection": {"close"}}
	now := time.Now()
	testKey(now, "r", "").sign(req, now)
	if got := req.Header.Get("Authorization"); !strings.Contains(got, "SignedHeaders=host;x-amz-content-sha256;x-amz-date,") {
		t.Error(got)
	}
	if got := req.Header.Get(headerSHA256); got != unsignedPayload {
		t.Errorf("body of unknown hash: %s", got)
	}
}

// dayKey is plain HMAC, for secrets on each side of every boundary of a block,
// and leaves nothing in the memory it worked in.
func TestDayKey(t *testing.T) {
	for n := range 200 {
		secret := []byte(strings.Repeat("s", n))
		scratch := make([]byte, hmacScratch)
		got := dayKey(secret, "20260102", scratch)
		h := hmac.New(sha256.New, append([]byte("AWS4"), secret...))
		h.Write([]byte("20260102"))
		if want := h.Sum(nil); !hmac.Equal(got[:], want) {
			t.Errorf("secret of %d bytes: %x, want %x", n, got, want)
		}
		for _, c := range scratch {
			if c != 0 {
				t.Fatalf("secret of %d bytes: scratch is left as %x", n, scratch)
			}
		}
	}
}

func TestGrant_Days(t *testing.T) {
	now := time.Date(2026, 2, 28, 23, 59, 59, 0, time.FixedZone("west", -5*3600)) // 1 March in UTC
	g := newGrant([]byte("x"), make([]byte, hmacScratch), need{now, "r"}, 2)
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{now, "20260301"}, {now.Add(-24 * time.Hour), "20260228"}, {now.Add(-53 * time.Hour), ""},
		{now.Add(24 * time.Hour), "20260302"}, {now.Add(48 * time.Hour), ""},
		{time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), "20260302"}, {time.Date(2026, 3, 1, 23, 59, 59, 999, time.UTC), "20260301"},
	} {
		day, key, ok := g.on(c.at)
		if day != c.want || ok != (c.want != "") {
			t.Errorf("%v: %q, %v; want %q", c.at, day, ok, c.want)
		}
		if want := signingKey(dayKey([]byte("x"), c.want, make([]byte, hmacScratch)), "r"); ok && key != want {
			t.Errorf("%v: the key is not that of %s", c.at, c.want)
		}
	}
}
