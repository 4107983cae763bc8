// Package retry sits between a job and a store that fails now and then: it retries
// calls that may succeed later, so that an outage pauses a job and does not end it. It
// also limits how many transfers run at once, and ends those that stall.
//
// Words:
//
//   - A call is what the user of the backend asked for; it is made in attempts.
//   - A call makes headway when it gets further than any attempt before: a byte
//     delivered, a byte sent beyond those sent before, another name listed.
//   - The quiet time of a call is that in which nothing moved, since its last headway;
//     waiting for a connection does not count. When it exceeds Options.Elapsed the
//     call fails.
//   - The store is in trouble from the first failure of a call until every call that
//     failed has succeeded, or has ended with an answer.
//
// When a call has failed in this way while no other call was answered either, the store
// is given up: further calls are not retried until one of them is answered.
//
// Each backend decides which errors are retryable ([backends.OpError]): it knows what
// its errors mean. A waiting call holds no connection, and its context ends it at once.
package retry
