// Package testcert makes certificates for the servers of tests: an authority of
// its own and what it signs, good, expired, or for another host.
package testcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is an authority that nobody trusts yet.
type CA struct {
	PEM  []byte // its certificate
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Certificate is one that a [CA] has signed, with its key.
type Certificate struct {
	tls.Certificate
	PEM, KeyPEM []byte
}

// NewCA makes an authority.
func NewCA(tb testing.TB) *CA {
	tb.Helper()
	key := newKey(tb)
	t := template(time.Now().Add(time.Hour))
	t.Subject.CommonName = "authority of a test"
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	must(tb, err)
	cert, err := x509.ParseCertificate(der)
	must(tb, err)
	return &CA{PEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert: cert, key: key}
}

// Issue signs a certificate of hosts, names or addresses, good for an hour.
func (ca *CA) Issue(tb testing.TB, hosts ...string) Certificate {
	tb.Helper()
	return ca.issue(tb, time.Now().Add(time.Hour), hosts)
}

// Expired is Issue with a certificate that was good until a minute ago.
func (ca *CA) Expired(tb testing.TB, hosts ...string) Certificate {
	tb.Helper()
	return ca.issue(tb, time.Now().Add(-time.Minute), hosts)
}

func (ca *CA) issue(tb testing.TB, until time.Time, hosts []string) Certificate {
	tb.Helper()
	key := newKey(tb)
	t := template(until)
	t.Subject.CommonName = "server of a test"
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, ca.cert, key.Public(), ca.key)
	must(tb, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	must(tb, err)
	c := Certificate{
		PEM:    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		KeyPEM: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}
	c.Certificate, err = tls.X509KeyPair(c.PEM, c.KeyPEM)
	must(tb, err)
	return c
}

// template starts two hours ago, so that a clock that is a little off does no harm.
func template(until time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62)) // reading from rand.Reader does not fail
	return &x509.Certificate{
		SerialNumber: serial, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until,
		Subject: pkix.Name{Organization: []string{"Vaultik tests"}},
	}
}

func newKey(tb testing.TB) *ecdsa.PrivateKey {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(tb, err)
	return key
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
