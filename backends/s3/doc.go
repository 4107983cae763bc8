// Package s3 keeps objects in a bucket of S3 or of a server that speaks its
// protocol: s3://bucket[/prefix]?endpoint=https://host[:port].
//
// The requests and answers are those of minio-go. Three things are our own, for
// what it leaves open:
//
//   - Signing. minio-go would hold the secret key in many copies. Its client is
//     anonymous here; a round tripper signs with a key that is good for one day,
//     derived from the secret, which is then overwritten (signer, grant).
//   - Integrity. Every Put is one request with the SHA-256 of its body, as part of
//     the signature and as x-amz-checksum-sha256; the server refuses other bytes
//     before the object appears.
//   - Errors. The round tripper remembers what minio-go hides: Retry-After, the
//     clock of the server, the error below a URL (call).
//
// Nothing is retried here: every error says whether retrying can help, and the caller
// decides. A key is prefix/key in the bucket. Names that are no keys are not objects;
// one of them is ours: ".probe", by which Capabilities are found out.
//
// Delete in a bucket with versions leaves a delete marker, and the old version,
// which is still paid for. An object under retention stays likewise.
package s3
