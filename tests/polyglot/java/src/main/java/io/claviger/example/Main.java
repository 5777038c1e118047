package io.claviger.example;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.sun.net.httpserver.HttpServer;
import io.claviger.auth.v1.AuthServiceGrpc;
import io.claviger.auth.v1.AuthServiceGrpc.AuthServiceBlockingStub;
import io.claviger.auth.v1.Header;
import io.claviger.auth.v1.RequestHead;
import io.claviger.auth.v1.VerifySignatureRequest;
import io.claviger.event.v1.Event;
import io.claviger.identity.v1.AccessKeyServiceGrpc;
import io.claviger.identity.v1.AccessKeyServiceGrpc.AccessKeyServiceBlockingStub;
import io.claviger.identity.v1.Account;
import io.claviger.identity.v1.AccountServiceGrpc;
import io.claviger.identity.v1.CreateAccessKeyRequest;
import io.claviger.identity.v1.CreateAccountRequest;
import io.claviger.identity.v1.CreateUserRequest;
import io.claviger.identity.v1.DeleteAccountRequest;
import io.claviger.identity.v1.DeleteUserRequest;
import io.claviger.identity.v1.EventServiceGrpc;
import io.claviger.identity.v1.RotateSecretAccessKeyRequest;
import io.claviger.identity.v1.RotateSecretAccessKeyResponse;
import io.claviger.identity.v1.User;
import io.claviger.identity.v1.UserServiceGrpc;
import io.claviger.identity.v1.WatchEventsRequest;
import io.grpc.ClientInterceptor;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Status.Code;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.services.s3.S3Client;

/**
 * Manages access keys with Claviger, and asks it who signed a request: every step that a program
 * would take.
 */
public final class Main {
  private static final String REGION = System.getenv().getOrDefault("AWS_REGION", "us-east-1");
  private static final Verdict REFUSED = new Verdict("SignatureDoesNotMatch", 0);

  private final ManagedChannel identity = channel(System.getenv("CLAVIGER_IDENTITY"));
  private final ManagedChannel auth = channel(System.getenv("CLAVIGER_AUTH"));
  private final AccessKeyServiceBlockingStub accessKeys =
      AccessKeyServiceGrpc.newBlockingStub(identity);
  private final AuthServiceBlockingStub authority = AuthServiceGrpc.newBlockingStub(auth);

  public static void main(String[] args) throws Exception {
    Main main = new Main();
    main.run();
    main.identity.shutdownNow();
    main.auth.shutdownNow();
  }

  private void run() throws Exception {
    var accounts = AccountServiceGrpc.newBlockingStub(identity);
    var users = UserServiceGrpc.newBlockingStub(identity);
    var events = EventServiceGrpc.newBlockingStub(identity);

    // An account is a tenant; its users hold access keys. With a request id, a call may be sent
    // again.
    Account tenant =
        accounts
            .createAccount(
                CreateAccountRequest.newBuilder()
                    .setAccount(Account.newBuilder().setDisplayName("Polyglot"))
                    .setRequestId(requestId())
                    .build())
            .getAccount();
    User alice =
        users
            .createUser(
                CreateUserRequest.newBuilder()
                    .setParent(tenant.getName())
                    .setUser(User.newBuilder().setUserName("alice"))
                    .setRequestId(requestId())
                    .build())
            .getUser();
    String arn = "arn:aws:iam::" + tenant.getAccountNumber() + ":user/alice";
    System.out.println("made an account and a user");

    // The secret is in this answer and never again.
    var created =
        accessKeys.createAccessKey(
            CreateAccessKeyRequest.newBuilder()
                .setParent(alice.getName())
                .setRequestId(requestId())
                .build());
    String name = created.getAccessKey().getName();
    String id = created.getAccessKey().getAccessKeyId();
    System.out.println("made an access key");

    // With the position of a write, a verification knows of it.
    RequestHead head = signedRequest(id, created.getSecretAccessKey());
    expect(verify(head, created.getPosition()), new Verdict(arn, 1));
    expect(verify(withHost(head, "other.example.com"), 0), REFUSED);
    System.out.println(
        "verified a request that the AWS SDK signed, and refused it with another host");

    // A watch shows what was recorded after a position, and then what comes.
    var watch =
        events
            .withDeadlineAfter(10, TimeUnit.SECONDS)
            .watchEvents(
                WatchEventsRequest.newBuilder()
                    .setUser(alice.getName())
                    .addKinds("access_key_created")
                    .build());
    var message = watch.next();
    while (!message.hasEvent()) {
      message = watch.next();
    }
    Event seen = message.getEvent();
    expect(seen.getPayload().getAccessKeyCreated().getAccessKeyId(), id);
    expect(seen.getPosition(), created.getPosition());
    System.out.println("saw the event");

    // For an hour both secrets are good: time to tell the new one to all who need it.
    var second = rotate(name, 3600);
    expect(verify(head, second.getPosition()), new Verdict(arn, 1));
    RequestHead newHead = signedRequest(id, second.getSecretAccessKey());
    expect(verify(newHead, second.getPosition()), new Verdict(arn, 2));
    System.out.println("rotated with a grace period: both secrets are good");

    // Without a grace period whatever was signed before is refused from now on.
    var third = rotate(name, 0);
    expect(verify(head, third.getPosition()), REFUSED);
    expect(verify(newHead, third.getPosition()), REFUSED);
    RequestHead newestHead = signedRequest(id, third.getSecretAccessKey());
    expect(verify(newestHead, third.getPosition()), new Verdict(arn, 3));
    System.out.println("rotated without one: only the new secret is good");

    // A refusal has a reason for programs, and may name a field.
    try {
      users.createUser(
          CreateUserRequest.newBuilder()
              .setParent(tenant.getName())
              .setUser(User.newBuilder().setUserName("no spaces"))
              .build());
      throw new IllegalStateException("a user name with a space was taken");
    } catch (StatusRuntimeException error) {
      expect(error.getStatus().getCode(), Code.INVALID_ARGUMENT);
      ErrorInfo info = detail(error, ErrorInfo.class);
      String field = detail(error, BadRequest.class).getFieldViolations(0).getField();
      expect(info.getDomain(), "claviger.io");
      expect(info.getReason(), "INVALID_FIELD");
      expect(field, "user.user_name");
      System.out.println("read an error: " + info.getReason() + " of " + field);
    }

    users.deleteUser(
        DeleteUserRequest.newBuilder().setName(alice.getName()).setForce(true).build());
    accounts.deleteAccount(DeleteAccountRequest.newBuilder().setName(tenant.getName()).build());
    System.out.println("deleted the user and the account");
  }

  private static ManagedChannel channel(String address) {
    Metadata headers = new Metadata();
    headers.put(
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER),
        "Bearer " + System.getenv("CLAVIGER_TOKEN"));
    ClientInterceptor authorize = MetadataUtils.newAttachHeadersInterceptor(headers);
    // Away from this machine, TlsChannelCredentials: the token is worth protecting.
    return Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
        .intercept(authorize)
        .build();
  }

  private RotateSecretAccessKeyResponse rotate(String name, int gracePeriodSeconds) {
    return accessKeys.rotateSecretAccessKey(
        RotateSecretAccessKeyRequest.newBuilder()
            .setName(name)
            .setGracePeriodSeconds(gracePeriodSeconds)
            .setRequestId(requestId())
            .build());
  }

  /**
   * Who signed and with which generation of the secret; or S3's code for why the request is
   * refused.
   */
  private record Verdict(String arnOrCode, int generation) {}

  private Verdict verify(RequestHead head, long minPosition) {
    var response =
        authority.verifySignature(
            VerifySignatureRequest.newBuilder()
                .setHead(head)
                .setRegion(REGION)
                .setMinPosition(minPosition)
                .build());
    if (response.hasDenied()) {
      return new Verdict(response.getDenied().getCode(), 0);
    }
    var verified = response.getVerified();
    return new Verdict(verified.getPrincipal().getArn(), verified.getSecretGeneration());
  }

  /**
   * The head of a request by the AWS SDK, as it reaches a server: this is where yours would ask.
   */
  private static RequestHead signedRequest(String accessKeyId, String secretAccessKey)
      throws IOException {
    var received = new CompletableFuture<RequestHead>();
    HttpServer server =
        HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
    server.createContext(
        "/",
        exchange -> {
          RequestHead.Builder head =
              RequestHead.newBuilder()
                  .setMethod(exchange.getRequestMethod())
                  .setTarget(exchange.getRequestURI().toString());
          exchange
              .getRequestHeaders()
              .forEach(
                  (name, values) ->
                      values.forEach(
                          value ->
                              head.addHeaders(Header.newBuilder().setName(name).setValue(value))));
          received.complete(head.build());
          exchange.sendResponseHeaders(200, -1);
          exchange.close();
        });
    server.start();
    try (S3Client s3 =
        S3Client.builder()
            .endpointOverride(URI.create("http://127.0.0.1:" + server.getAddress().getPort()))
            .region(Region.of(REGION))
            .forcePathStyle(true)
            .credentialsProvider(
                StaticCredentialsProvider.create(
                    AwsBasicCredentials.create(accessKeyId, secretAccessKey)))
            .httpClient(UrlConnectionHttpClient.create())
            .build()) {
      s3.getObjectAsBytes(
          request ->
              request
                  .bucket("reports")
                  .key("Bericht für März.txt")
                  .responseContentType("text/plain; charset=utf-8"));
    } finally {
      server.stop(0);
    }
    return received.join();
  }

  private static RequestHead withHost(RequestHead head, String host) {
    RequestHead.Builder changed = head.toBuilder();
    for (Header.Builder header : changed.getHeadersBuilderList()) {
      if (header.getName().equalsIgnoreCase("host")) {
        header.setValue(host);
      }
    }
    return changed.build();
  }

  /** The detail of this type that the error carries. */
  private static <T extends Message> T detail(StatusRuntimeException error, Class<T> type)
      throws InvalidProtocolBufferException {
    for (var found : StatusProto.fromThrowable(error).getDetailsList()) {
      if (found.is(type)) {
        return found.unpack(type);
      }
    }
    throw new IllegalStateException("no " + type.getSimpleName() + " in the error", error);
  }

  private static String requestId() {
    return UUID.randomUUID().toString();
  }

  private static void expect(Object found, Object expected) {
    if (!found.equals(expected)) {
      throw new IllegalStateException("expected " + expected + ", found " + found);
    }
  }
}
