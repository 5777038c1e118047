// Manages access keys with Claviger, and asks it who signed a request: every step that a program would take.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	authv1 "claviger/tests/polyglot/go/gen/claviger/auth/v1"
	identityv1 "claviger/tests/polyglot/go/gen/claviger/identity/v1"
)

var (
	ctx     context.Context
	region  = "us-east-1"
	keys    identityv1.AccessKeyServiceClient
	auth    authv1.AuthServiceClient
	refused = verdict{code: "SignatureDoesNotMatch"}
)

func main() {
	log.SetFlags(0)
	var cancel context.CancelFunc
	ctx, cancel = context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if named := os.Getenv("AWS_REGION"); named != "" {
		region = named
	}
	identity := dial(os.Getenv("CLAVIGER_IDENTITY"))
	accounts := identityv1.NewAccountServiceClient(identity)
	users := identityv1.NewUserServiceClient(identity)
	events := identityv1.NewEventServiceClient(identity)
	keys = identityv1.NewAccessKeyServiceClient(identity)
	auth = authv1.NewAuthServiceClient(dial(os.Getenv("CLAVIGER_AUTH")))

	// An account is a tenant; its users hold access keys. With a request id, a call may be sent again.
	tenant := must(accounts.CreateAccount(ctx, &identityv1.CreateAccountRequest{
		Account:   &identityv1.Account{DisplayName: "Polyglot"},
		RequestId: uuid.NewString(),
	})).Account
	alice := must(users.CreateUser(ctx, &identityv1.CreateUserRequest{
		Parent:    tenant.Name,
		User:      &identityv1.User{UserName: "alice"},
		RequestId: uuid.NewString(),
	})).User
	arn := fmt.Sprintf("arn:aws:iam::%s:user/alice", tenant.AccountNumber)
	fmt.Println("made an account and a user")

	// The secret is in this answer and never again.
	created := must(keys.CreateAccessKey(ctx, &identityv1.CreateAccessKeyRequest{
		Parent:    alice.Name,
		RequestId: uuid.NewString(),
	}))
	key := created.AccessKey
	fmt.Println("made an access key")

	// With the position of a write, a verification knows of it.
	head := signedRequest(key.AccessKeyId, created.SecretAccessKey)
	expect(verify(head, created.Position), verdict{arn: arn, generation: 1})
	expect(verify(withHost(head, "other.example.com"), 0), refused)
	fmt.Println("verified a request that the AWS SDK signed, and refused it with another host")

	// A watch shows what was recorded after a position, and then what comes.
	watching, stop := context.WithTimeout(ctx, 10*time.Second)
	watch := must(events.WatchEvents(watching, &identityv1.WatchEventsRequest{
		User:  alice.Name,
		Kinds: []string{"access_key_created"},
	}))
	seen := must(watch.Recv()).Event
	for seen == nil {
		seen = must(watch.Recv()).Event
	}
	stop()
	expect(seen.Payload.GetAccessKeyCreated().GetAccessKeyId(), key.AccessKeyId)
	expect(seen.Position, created.Position)
	fmt.Println("saw the event")

	// For an hour both secrets are good: time to tell the new one to all who need it.
	second := rotate(key.Name, 3600)
	expect(verify(head, second.Position), verdict{arn: arn, generation: 1})
	newHead := signedRequest(key.AccessKeyId, second.SecretAccessKey)
	expect(verify(newHead, second.Position), verdict{arn: arn, generation: 2})
	fmt.Println("rotated with a grace period: both secrets are good")

	// Without a grace period whatever was signed before is refused from now on.
	third := rotate(key.Name, 0)
	expect(verify(head, third.Position), refused)
	expect(verify(newHead, third.Position), refused)
	newestHead := signedRequest(key.AccessKeyId, third.SecretAccessKey)
	expect(verify(newestHead, third.Position), verdict{arn: arn, generation: 3})
	fmt.Println("rotated without one: only the new secret is good")

	// A refusal has a reason for programs, and may name a field.
	_, err := users.CreateUser(ctx, &identityv1.CreateUserRequest{
		Parent: tenant.Name,
		User:   &identityv1.User{UserName: "no spaces"},
	})
	expect(status.Code(err), codes.InvalidArgument)
	var reason, field string
	for _, detail := range status.Convert(err).Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			expect(detail.Domain, "claviger.io")
			reason = detail.Reason
		case *errdetails.BadRequest:
			field = detail.FieldViolations[0].Field
		}
	}
	expect(reason, "INVALID_FIELD")
	expect(field, "user.user_name")
	fmt.Printf("read an error: %s of %s\n", reason, field)

	must(users.DeleteUser(ctx, &identityv1.DeleteUserRequest{Name: alice.Name, Force: true}))
	must(accounts.DeleteAccount(ctx, &identityv1.DeleteAccountRequest{Name: tenant.Name}))
	fmt.Println("deleted the user and the account")
}

// token is an admin token, sent with every call.
type token string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(t)}, nil
}

func (token) RequireTransportSecurity() bool { return false }

func dial(address string) *grpc.ClientConn {
	return must(grpc.NewClient(
		address,
		// Away from this machine, credentials.NewTLS: the token is worth protecting.
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(token(os.Getenv("CLAVIGER_TOKEN"))),
	))
}

func rotate(name string, gracePeriodSeconds uint32) *identityv1.RotateSecretAccessKeyResponse {
	return must(keys.RotateSecretAccessKey(ctx, &identityv1.RotateSecretAccessKeyRequest{
		Name:               name,
		GracePeriodSeconds: &gracePeriodSeconds,
		RequestId:          uuid.NewString(),
	}))
}

// verdict is who signed and with which generation of the secret, or S3's code for why the request is refused.
type verdict struct {
	arn        string
	generation uint32
	code       string
}

func verify(head *authv1.RequestHead, minPosition uint64) verdict {
	response := must(auth.VerifySignature(ctx, &authv1.VerifySignatureRequest{
		Request:     &authv1.VerifySignatureRequest_Head{Head: head},
		Region:      region,
		MinPosition: minPosition,
	}))
	if denied := response.GetDenied(); denied != nil {
		return verdict{code: denied.Code}
	}
	verified := response.GetVerified()
	return verdict{arn: verified.Principal.Arn, generation: verified.SecretGeneration}
}

// signedRequest is the head of a request by the AWS SDK, as it reaches a server: this is where yours would ask.
func signedRequest(accessKeyID, secretAccessKey string) *authv1.RequestHead {
	head := &authv1.RequestHead{}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		head.Method, head.Target = request.Method, request.RequestURI
		// net/http takes the host out of the headers.
		head.Headers = []*authv1.Header{{Name: "host", Value: request.Host}}
		for name, values := range request.Header {
			for _, value := range values {
				head.Headers = append(head.Headers, &authv1.Header{Name: name, Value: value})
			}
		}
	}))
	defer server.Close()
	client := s3.New(s3.Options{
		BaseEndpoint: &server.URL,
		Region:       region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKeyID, secretAccessKey, ""),
	})
	must(client.GetObject(ctx, &s3.GetObjectInput{
		Bucket:              aws.String("reports"),
		Key:                 aws.String("Bericht für März.txt"),
		ResponseContentType: aws.String("text/plain; charset=utf-8"),
	})).Body.Close()
	return head
}

func withHost(head *authv1.RequestHead, host string) *authv1.RequestHead {
	changed := proto.CloneOf(head)
	for _, header := range changed.Headers {
		if strings.EqualFold(header.Name, "host") {
			header.Value = host
		}
	}
	return changed
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func expect[T comparable](found, expected T) {
	if found != expected {
		log.Fatalf("expected %v, found %v", expected, found)
	}
}
