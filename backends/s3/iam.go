package s3

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"

	"vaultik/backends"
)

// iamTime is how long a role may take to be had: nobody answers outside of a cloud.
const iamTime = 10 * time.Second

// iamSource is the role of this machine (EC2), task (ECS) or pod (EKS). Its keys
// are temporary. The library that asks for them leaves copies behind.
type iamSource struct {
	provider *credentials.IAM
	client   *http.Client
}

func newIAM() *iamSource {
	t := &http.Transport{DialContext: (&net.Dialer{Timeout: 2 * time.Second}).DialContext, DisableKeepAlives: true}
	if os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE") != "" {
		t.Proxy = http.ProxyFromEnvironment // this one asks a server on the Internet, the others one beside us
	}
	return &iamSource{provider: &credentials.IAM{}, client: &http.Client{Transport: t, Timeout: iamTime}}
}

func (s *iamSource) name() string { return "the role of this machine" }

func (s *iamSource) load(ctx context.Context, n need) (*grant, error) {
	ctx, cancel := context.WithTimeout(ctx, iamTime)
	defer cancel()
	v, err := s.provider.RetrieveWithCredContext(&credentials.CredContext{Client: s.client, Context: ctx})
	if err == nil && (v.AccessKeyID == "" || v.SecretAccessKey == "") {
		err = fmt.Errorf("%w: the answer has no key", errNoCredentials)
	}
	if err != nil {
		return nil, &credentialError{err: backends.WithKind(backends.ErrAuth, fmt.Errorf("%s: %w", s.name(), inner(err))), retry: true}
	}
	var g *grant
	err = withScratch(func(page []byte) error {
		end := hmacScratch + copy(page[hmacScratch:], v.SecretAccessKey)
		g = newGrant(page[hmacScratch:end], page, n, 1)
		return nil
	})
	if err != nil {
		return nil, &credentialError{err: err}
	}
	g.id, g.token, g.expires, g.again = v.AccessKeyID, v.SessionToken, v.Expiration, true
	return g, nil
}
