// Package faultproxy stands between a client and a server on the loopback
// interface and breaks what passes, by a script: which connection or request, and
// what happens to it.
//
//	p := faultproxy.HTTP(t, server.Endpoint)
//	p.Script(
//		faultproxy.Rule{Method: "PUT", Path: "/b/", Nth: 3, Do: faultproxy.LoseReply()},
//		faultproxy.Rule{Method: "GET", Times: 2, Do: faultproxy.Status(503, "1")},
//	)
//	... use p.URL ...
//	p.Outage(true) // nobody listens any more
//
// [HTTP] passes requests on one by one and keeps the Host that the client has
// signed. [TCP] passes bytes and knows no protocol. package faulty does the same
// inside the process, one level higher.
package faultproxy
