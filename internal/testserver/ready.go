package testserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// answers is ready when a GET of url is answered with status; 0: with any.
func answers(url string, status int) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return err
		}
		// Whether the certificate is good is for the tests to find out.
		c := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		resp, err := c.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if status != 0 && resp.StatusCode != status {
			return fmt.Errorf("GET %s: %s", url, resp.Status)
		}
		return nil
	}
}

// greets is ready when the server at addr sends these bytes first.
func greets(addr, hello string) func(context.Context) error {
	return func(ctx context.Context) error {
		c, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer func() { _ = c.Close() }()
		if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		got := make([]byte, len(hello))
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		if string(got) != hello {
			return fmt.Errorf("%s says %q", addr, got)
		}
		return nil
	}
}
