package s3

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Signature Version 4, with the headers as the place of the signature.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

const (
	dayForm  = "20060102"
	timeForm = "20060102T150405Z"

	headerDate   = "X-Amz-Date"
	headerSHA256 = "X-Amz-Content-Sha256"
	headerToken  = "X-Amz-Security-Token"

	unsignedPayload = "UNSIGNED-PAYLOAD"
)

// emptySHA256 is the hash of no bytes, the body of most requests.
var emptySHA256 = hex.EncodeToString(sha256.New().Sum(nil))

// unsigned are headers that a proxy may change.
var unsigned = map[string]bool{
	"accept-encoding": true, "authorization": true, "connection": true, "cookie": true, "expect": true, "user-agent": true,
}

// signing signs requests of one day and one region.
type signing struct {
	id, token string // of the access key; the session token, "" for keys without
	scope     string // DAY/REGION/s3/aws4_request
	key       [sha256.Size]byte
}

// signingKey restricts the key of a day, which opens all of Amazon, to S3 in one region.
func signingKey(dayKey [sha256.Size]byte, region string) [sha256.Size]byte {
	k := mac(dayKey[:], region)
	k = mac(k, "s3")
	return [sha256.Size]byte(mac(k, "aws4_request"))
}

func scopeOf(day, region string) string { return day + "/" + region + "/s3/aws4_request" }

// String says nothing of the key.
func (s *signing) String() string { return "signing key (secret) of " + s.id }

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sign adds date, token and signature to the headers of req, which is the
// caller's own. A hash of the body that is there already is signed, too.
func (s *signing) sign(req *http.Request, now time.Time) {
	stamp := now.UTC().Format(timeForm)
	req.Header.Set(headerDate, stamp)
	if s.token != "" {
		req.Header.Set(headerToken, s.token)
	}
	body := req.Header.Get(headerSHA256)
	if body == "" {
		body = emptySHA256
		if req.Body != nil && req.Body != http.NoBody {
			body = unsignedPayload
		}
		req.Header.Set(headerSHA256, body)
	}
	names, headers := canonicalHeaders(req)
	canonical := strings.Join([]string{req.Method, canonicalPath(req.URL), canonicalQuery(req.URL), headers, names, body}, "\n")
	sum := sha256.Sum256([]byte(canonical))
	toSign := strings.Join([]string{"AWS4-HMAC-SHA256", stamp, s.scope, hex.EncodeToString(sum[:])}, "\n")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+s.id+"/"+s.scope+
		", SignedHeaders="+names+", Signature="+hex.EncodeToString(mac(s.key[:], toSign)))
}

// canonicalHeaders returns the names of the signed headers, and these with their
// values, each line ended.
func canonicalHeaders(req *http.Request) (names, lines string) {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	values := map[string]string{"host": host}
	for name, v := range req.Header {
		if name = strings.ToLower(name); !unsigned[name] {
			values[name] = strings.Join(strings.Fields(strings.Join(v, ",")), " ")
		}
	}
	sorted := slices.Sorted(maps.Keys(values))
	var b strings.Builder
	for _, name := range sorted {
		b.WriteString(name + ":" + values[name] + "\n")
	}
	return strings.Join(sorted, ";"), b.String()
}

func canonicalPath(u *url.URL) string {
	if p := u.EscapedPath(); p != "" {
		return p // S3 signs the path as it is sent, unlike other services
	}
	return "/"
}

func canonicalQuery(u *url.URL) string {
	// Encode sorts; a space is %20 in signatures and nothing else is written as +.
	return strings.ReplaceAll(u.Query().Encode(), "+", "%20")
}
