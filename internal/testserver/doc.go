// Package testserver starts the servers that stores are tested against, each as
// a child of the test process on a free port of the loopback interface: two S3
// servers that know nothing of each other (versitygw, MinIO), and rclone's own
// for S3, WebDAV, SFTP and FTP.
//
//	s := testserver.MinIO(t, testserver.TLS())
//	... s.Endpoint, s.Bucket, s.CAFile, s.AccessKey, s.SecretKey
//
// A server that is asked for while it runs is shared; each call makes a bucket of
// its own. It ends with the last test that asked for it, and with the process,
// however that ends. Keys and passwords are random. What a server has written is
// shown when a test fails.
//
// scripts/tools installs the programs. One that is missing fails the test: a test
// that did not run has not passed.
package testserver
