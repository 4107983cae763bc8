package testserver

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
	"golang.org/x/crypto/argon2"
)

// User returns the server as a new user sees it who may do what a policy of AWS' form says, and
// nothing else. Only MinIO has users.
func (s *S3) User(tb testing.TB, policy []byte) *S3 {
	tb.Helper()
	user := *s
	user.AccessKey, user.SecretKey = random(20), random(40)
	account, err := json.Marshal(map[string]string{"secretKey": user.SecretKey, "status": "enabled"})
	if err == nil {
		account, err = sealAdmin(s.SecretKey, account)
	}
	if err != nil {
		tb.Fatal(err)
	}
	s.admin(tb, "add-user", url.Values{"accessKey": {user.AccessKey}}, account)
	s.admin(tb, "add-canned-policy", url.Values{"name": {user.AccessKey}}, policy)
	s.admin(tb, "set-user-or-group-policy", url.Values{"policyName": {user.AccessKey},
		"userOrGroup": {user.AccessKey}, "isGroup": {"false"}}, nil)
	return &user
}

// admin sends a request to MinIO's own interface.
func (s *S3) admin(tb testing.TB, what string, query url.Values, body []byte) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut,
		s.Endpoint+"/minio/admin/v3/"+what+"?"+query.Encode(), bytes.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(body)
	req.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	resp, err := http.DefaultClient.Do(signer.SignV4(*req, s.AccessKey, s.SecretKey, "", s.Region))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		tb.Fatalf("%s: %s\n%s", what, resp.Status, text)
	}
}

// sealAdmin encrypts what MinIO takes encrypted only: by AES-256-GCM in one piece, the last,
// which is bound to the tag of an empty one before it.
func sealAdmin(password string, data []byte) ([]byte, error) {
	const kind = 0 // Argon2id and AES-256-GCM
	salt, nonce := make([]byte, 32), make([]byte, 12)
	_, _ = rand.Read(salt) // it never fails
	_, _ = rand.Read(nonce[:8])
	block, err := aes.NewCipher(argon2.IDKey([]byte(password), salt, 1, 64<<10, 4, 32))
	if err != nil {
		return nil, fmt.Errorf("encrypt a request: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("encrypt a request: %w", err)
	}
	out := slices.Concat(salt, []byte{kind}, nonce[:8])
	last := append([]byte{0x80}, aead.Seal(nil, nonce, nil, nil)...)
	nonce[8] = 1
	return aead.Seal(out, nonce, data, last), nil
}
