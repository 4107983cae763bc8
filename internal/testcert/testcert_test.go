package testcert_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"vaultik/internal/testcert"
)

func TestCertificates(t *testing.T) {
	ca, other := testcert.NewCA(t), testcert.NewCA(t)
	for name, c := range map[string]struct {
		cert testcert.Certificate
		bad  any
	}{
		"good":          {ca.Issue(t, "127.0.0.1"), nil},
		"expired":       {ca.Expired(t, "127.0.0.1"), new(x509.CertificateInvalidError)},
		"other host":    {ca.Issue(t, "example.com"), new(x509.HostnameError)},
		"other signers": {other.Issue(t, "127.0.0.1"), new(x509.UnknownAuthorityError)},
	} {
		t.Run(name, func(t *testing.T) {
			s := httptest.NewUnstartedServer(http.NotFoundHandler())
			s.TLS = &tls.Config{Certificates: []tls.Certificate{c.cert.Certificate}, MinVersion: tls.VersionTLS12}
			s.Config.ErrorLog = nil
			s.StartTLS()
			defer s.Close()
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(ca.PEM) {
				t.Fatal("the authority's PEM holds no certificate")
			}
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
			defer client.CloseIdleConnections()
			resp, err := client.Get(s.URL)
			if err == nil {
				resp.Body.Close()
			}
			if ok := err == nil; ok != (c.bad == nil) || c.bad != nil && !errors.As(err, c.bad) {
				t.Errorf("%v, want %T", err, c.bad)
			}
		})
	}
}
