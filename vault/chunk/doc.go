// Package chunk cuts a stream into chunks by its content and names them.
//
// A Cutter finds the same boundaries around unchanged bytes wherever they stand
// in a file, so an edit makes new chunks only near itself. A Hasher gives each
// chunk its ID. Both are keyed: without the host's secret neither boundaries nor
// ids say anything about the content.
//
// Law: the chunks of a stream, joined, are the stream, and none is empty.
package chunk
