package s3

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"vaultik/backends"
)

// fail makes err the error of an operation, nil if it is nil. c is what the round
// tripper has learned, nil if nothing was asked.
func (b *Backend) fail(ctx context.Context, op, key string, c *call, err error) error {
	if err == nil {
		return nil
	}
	e := &backends.OpError{Op: op, Key: key, Backend: b.location}
	if c == nil {
		e.Err = err
		return e
	}
	if cause := ctx.Err(); cause != nil {
		e.Err = cause
		return e
	}
	e.Retryable, e.Err = b.classify(ctx, op, c, err)
	if e.Retryable {
		e.RetryAfter = c.retryAfter
	}
	return e
}

// classify gives err a kind, and says whether retrying can help.
func (b *Backend) classify(ctx context.Context, op string, c *call, err error) (bool, error) {
	var (
		source   *backends.SourceError
		answer   minio.ErrorResponse
		key      *credentialError
		existing *backends.OpError
	)
	switch {
	case errors.As(err, &existing):
		c.retryAfter = existing.RetryAfter
		return existing.Retryable, existing.Err
	case errors.As(err, &source), errors.Is(err, backends.ErrSourceSize), ours(err):
		return false, err
	case errors.Is(err, backends.ErrChecksum):
		return true, err
	case errors.As(c.err, &key):
		return key.retry && op != "open", key.err
	case errors.Is(c.err, errNoNames), errors.Is(err, errLongList):
		return false, backends.WithKind(backends.ErrUnsupported, inner(err))
	case c.err != nil:
		return network(b.settings, inner(c.err))
	case errors.As(err, &answer) && answer.StatusCode >= 300:
		return b.refused(ctx, op, c, answer)
	case op == "open":
		return false, backends.WithKind(backends.ErrConfig, fmt.Errorf("%s does not respond like S3: %s", b.settings.endpoint, short(err.Error())))
	}
	return true, fmt.Errorf("answer of the server: %s", short(err.Error())) // cut off or garbled on the way
}

// ours reports whether err has its kind already.
func ours(err error) bool {
	for _, kind := range []error{
		backends.ErrNotFound, backends.ErrContainerNotFound, backends.ErrUnsupported, backends.ErrInvalidRange, backends.ErrConfig, backends.ErrInvalidKey,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// refusal is what an error code of S3 means here.
type refusal struct {
	kind  error // nil: none of ours
	retry bool
}

// refusals has the codes of Amazon, MinIO and others that mean more than their
// HTTP status does.
var refusals = map[string]refusal{
	"NoSuchKey":    {kind: backends.ErrNotFound},
	"NoSuchBucket": {kind: backends.ErrContainerNotFound},
	"InvalidRange": {kind: backends.ErrInvalidRange},

	"PreconditionFailed":         {kind: backends.ErrExists}, // the only condition ever sent is IfAbsent
	"ConditionalRequestConflict": {retry: true},              // somebody else is writing the same name right now
	"OperationAborted":           {retry: true},
	"Conflict":                   {retry: true},

	"AccessDenied":         {kind: backends.ErrPermission},
	"AllAccessDisabled":    {kind: backends.ErrPermission},
	"AccountProblem":       {kind: backends.ErrPermission},
	"MethodNotAllowed":     {kind: backends.ErrPermission},
	"ObjectLocked":         {kind: backends.ErrLocked},
	"ObjectLockConfigured": {kind: backends.ErrLocked},

	"InvalidAccessKeyId":          {kind: backends.ErrAuth},
	"SignatureDoesNotMatch":       {kind: backends.ErrAuth},
	"InvalidToken":                {kind: backends.ErrToken},
	"InvalidTokenId":              {kind: backends.ErrAuth},
	"InvalidClientTokenId":        {kind: backends.ErrAuth},
	"InvalidSecurity":             {kind: backends.ErrAuth},
	"ExpiredToken":                {kind: backends.ErrToken},
	"ExpiredTokenException":       {kind: backends.ErrToken},
	"TokenRefreshRequired":        {kind: backends.ErrToken},
	"NotSignedUp":                 {kind: backends.ErrAuth},
	"CredentialsNotSupported":     {kind: backends.ErrAuth},
	"MissingSecurityHeader":       {kind: backends.ErrAuth},
	"UnrecognizedClientException": {kind: backends.ErrAuth},
	"Unauthorized":                {kind: backends.ErrAuth},
	"RequestTimeTooSkewed":        {kind: backends.ErrClock},
	"RequestExpired":              {kind: backends.ErrClock},
	"XAdminUserNotFound":          {kind: backends.ErrAuth}, // of versitygw, with status 404

	"QuotaExceeded":                  {kind: backends.ErrNoSpace},
	"QuotaExceededException":         {kind: backends.ErrNoSpace},
	"InsufficientStorage":            {kind: backends.ErrNoSpace},
	"InsufficientCapacity":           {kind: backends.ErrNoSpace},
	"StorageFull":                    {kind: backends.ErrNoSpace},
	"XMinioStorageFull":              {kind: backends.ErrNoSpace},
	"XMinioAdminBucketQuotaExceeded": {kind: backends.ErrNoSpace},
	"XMinioBucketQuotaExceeded":      {kind: backends.ErrNoSpace},
	"StorageQuotaExceeded":           {kind: backends.ErrNoSpace},
	"AccountStorageCapacityExceeded": {kind: backends.ErrNoSpace},
	"TooManyBuckets":                 {kind: backends.ErrNoSpace},
	"BadDigest":                      {kind: backends.ErrChecksum, retry: true},
	"InvalidDigest":                  {kind: backends.ErrChecksum, retry: true},
	"XAmzContentChecksumMismatch":    {kind: backends.ErrChecksum, retry: true},
	"XAmzContentSHA256Mismatch":      {kind: backends.ErrChecksum, retry: true},
	"XAmzContentSha256Mismatch":      {kind: backends.ErrChecksum, retry: true},
	"NotImplemented":                 {kind: backends.ErrUnsupported},
	"EntityTooLarge":                 {kind: backends.ErrUnsupported},
	"InvalidObjectState":             {kind: backends.ErrArchived},
	"InvalidBucketName":              {kind: backends.ErrConfig},
	"InvalidStorageClass":            {kind: backends.ErrConfig},
	"KeyTooLongError":                {kind: backends.ErrInvalidKey},
	"XMinioInvalidObjectName":        {kind: backends.ErrInvalidKey},
	"XMinioParentIsObject":           {kind: backends.ErrInvalidKey},
	"XMinioObjectExistsAsDirectory":  {kind: backends.ErrInvalidKey},
	"ObjectParentIsFile":             {kind: backends.ErrInvalidKey},
	"ExistingObjectIsDirectory":      {kind: backends.ErrInvalidKey},
	"RequestTimeout":                 {retry: true},
	"IncompleteBody":                 {retry: true},
	"SlowDown":                       {retry: true},
	"SlowDownRead":                   {retry: true},
	"SlowDownWrite":                  {retry: true},
	"Throttling":                     {retry: true},
	"ThrottlingException":            {retry: true},
	"RequestLimitExceeded":           {retry: true},
	"RequestThrottled":               {retry: true},
	"TooManyRequests":                {retry: true},
	"XMinioServerNotInitialized":     {retry: true},
	"TemporaryRedirect":              {retry: true}, // a bucket that has just been made
	"ServiceUnavailable":             {retry: true},
	"InternalError":                  {retry: true},
}

// refused judges an answer of the server.
func (b *Backend) refused(ctx context.Context, op string, c *call, answer minio.ErrorResponse) (bool, error) {
	status := answer.StatusCode
	err := explained(answer, status)
	if c.mute {
		// Not S3, but what stands before it, or in its place: nothing is known to be missing.
		return op != "open", fmt.Errorf("%w, as no server of S3 says it: does something else answer at %s?",
			err, b.settings.endpoint.Host)
	}
	if r := b.region(answer, status); r != nil {
		return false, r
	}
	if wantsTLS(answer, status) {
		return false, backends.WithKind(backends.ErrConfig, fmt.Errorf("the server requires TLS; write endpoint=https://%s", b.settings.endpoint.Host))
	}
	r, known := refusals[answer.Code]
	if !known {
		r = byStatus(status)
	}
	switch {
	case answer.Code == "RequestTimeTooSkewed":
		err = fmt.Errorf("the clock of this machine is %s, which the server does not accept; set it, then retry (%s)", difference(c.skew), codeText(answer.Code, status))
	case errors.Is(r.kind, backends.ErrAuth):
		// The key may have been replaced at its source since it was read.
		if c.signed != nil {
			r.retry = b.signer.changed(ctx, c.signed)
			err = fmt.Errorf("%w; the key comes from %s", err, b.signer.source.name())
		}
	case (errors.Is(r.kind, backends.ErrPermission) || answer.Code == "InvalidRequest") && locked(answer):
		r.kind = backends.ErrLocked
	}
	if r.kind != nil {
		err = backends.WithKind(r.kind, err)
	}
	return r.retry, err
}

func byStatus(status int) refusal {
	switch {
	case status == http.StatusUnauthorized:
		return refusal{kind: backends.ErrAuth}
	case status == http.StatusForbidden:
		return refusal{kind: backends.ErrPermission}
	case status == http.StatusRequestedRangeNotSatisfiable:
		return refusal{kind: backends.ErrInvalidRange}
	case status == http.StatusNotImplemented:
		return refusal{kind: backends.ErrUnsupported}
	case status == http.StatusInsufficientStorage:
		return refusal{kind: backends.ErrNoSpace}
	case status >= 500, status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return refusal{retry: true}
	}
	return refusal{}
}

// wantsTLS recognises what the servers of Go and nginx say to plain HTTP.
func wantsTLS(answer minio.ErrorResponse, status int) bool {
	return status == http.StatusBadRequest && (strings.Contains(answer.Message, "HTTP request to an HTTPS server") ||
		strings.Contains(answer.Message, "plain HTTP request was sent to HTTPS port"))
}

// region returns an error where the answer says that the bucket is elsewhere.
func (b *Backend) region(answer minio.ErrorResponse, status int) error {
	elsewhere := status == http.StatusMovedPermanently || answer.Code == "AuthorizationHeaderMalformed" || answer.Code == "InvalidRegion" ||
		answer.Code == "IllegalLocationConstraintException" || answer.Code == "PermanentRedirect"
	switch {
	case !elsewhere:
		return nil
	case answer.Region != "" && answer.Region != b.settings.region:
		return backends.WithKind(backends.ErrConfig, fmt.Errorf("the bucket is in region %s, not %s; write region=%[1]s (%[3]s)",
			printable(answer.Region), b.settings.region, codeText(answer.Code, status)))
	}
	return backends.WithKind(backends.ErrConfig, fmt.Errorf("%w; is region=%s right?", explained(answer, status), b.settings.region))
}

// locked reports whether an answer is about retention: servers agree on no code.
func locked(answer minio.ErrorResponse) bool {
	m := strings.ToLower(answer.Message)
	return strings.Contains(m, "worm") || strings.Contains(m, "retention") || strings.Contains(m, "object lock") || strings.Contains(m, "legal hold")
}

func difference(d time.Duration) string {
	switch d = d.Round(time.Second); {
	case d > 0:
		return d.String() + " ahead of the server's"
	case d < 0:
		return (-d).String() + " behind the server's"
	}
	return "another than the server's"
}

func codeText(code string, status int) string {
	if status == 0 || strings.HasPrefix(code, fmt.Sprint(status)) {
		return printable(code)
	}
	return fmt.Sprintf("%d %s", status, printable(code))
}

// explained is the server's own message, which it may have filled with anything,
// and its code. Those who stand before a server send pages of HTML, or nothing.
func explained(answer minio.ErrorResponse, status int) error {
	code, text := codeText(answer.Code, status), answer.Error()
	if text == answer.Code || strings.HasPrefix(strings.TrimSpace(text), "<") {
		return errors.New("the server answers " + code)
	}
	return fmt.Errorf("%s (%s)", strings.TrimSuffix(short(text), "."), code)
}

const maxMessage = 300 // bytes

func short(text string) string {
	text = printable(strings.Join(strings.Fields(text), " "))
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}

// printable drops what could move a terminal's cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return -1
		}
		return r
	}, text)
}

// inner is what went wrong below an error that repeats a URL.
func inner(err error) error {
	for u := (*url.Error)(nil); errors.As(err, &u); {
		err = u.Err
	}
	return err
}

// network classifies an error of the transport: what the configuration can fix is
// permanent, everything else may pass.
func network(s *settings, err error) (bool, error) {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
	)
	var hint string
	switch {
	case errors.As(err, &authority):
		hint = "if the server has a certificate of your own authority, name the authority's: ca_file=FILE"
	case errors.As(err, &hostname):
		hint = "name the server in endpoint= as its certificate does"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		hint = "the server needs a new certificate, or the clock of this machine is wrong"
	case errors.As(err, &invalid), errors.As(err, &verify):
		hint = "the server's certificate cannot be used; ca_file=FILE names an authority of your own"
	case errors.Is(err, http.ErrSchemeMismatch), errors.As(err, &record):
		hint = "the server does not speak TLS there; write endpoint=http://" + s.endpoint.Host + ", or another port"
	default:
		return true, err
	}
	return false, backends.WithKind(backends.ErrConfig, fmt.Errorf("%w; %s", err, hint))
}
