// Manages access keys with Claviger, and asks it who signed a request: every step that a program would take.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";

import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { AuthService, RequestHeadSchema, type RequestHead } from "./gen/claviger/auth/v1/auth_service_pb.js";
import { AccessKeyService } from "./gen/claviger/identity/v1/access_key_service_pb.js";
import { AccountService } from "./gen/claviger/identity/v1/account_service_pb.js";
import { EventService, type WatchEventsResponse } from "./gen/claviger/identity/v1/event_service_pb.js";
import { UserService } from "./gen/claviger/identity/v1/user_service_pb.js";
import { BadRequestSchema, ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

const region = process.env.AWS_REGION ?? "us-east-1";

const authorize: Interceptor = (next) => (request) => {
  request.header.set("authorization", `Bearer ${process.env.CLAVIGER_TOKEN}`);
  return next(request);
};
// Away from this machine, `https`: the token is worth protecting.
const transport = (address?: string) =>
  createGrpcTransport({ baseUrl: `http://${address}`, interceptors: [authorize], defaultTimeoutMs: 10_000 });
const identity = transport(process.env.CLAVIGER_IDENTITY);
const accounts = createClient(AccountService, identity);
const users = createClient(UserService, identity);
const accessKeys = createClient(AccessKeyService, identity);
const events = createClient(EventService, identity);
const auth = createClient(AuthService, transport(process.env.CLAVIGER_AUTH));

async function main() {
  // An account is a tenant; its users hold access keys. With a request id, a call may be sent again.
  const { account } = await accounts.createAccount({
    account: { displayName: "Polyglot" },
    requestId: randomUUID(),
  });
  const { user } = await users.createUser({
    parent: account!.name,
    user: { userName: "alice" },
    requestId: randomUUID(),
  });
  const arn = `arn:aws:iam::${account!.accountNumber}:user/alice`;
  console.log("made an account and a user");

  // The secret is in this answer and never again.
  const created = await accessKeys.createAccessKey({ parent: user!.name, requestId: randomUUID() });
  const { name, accessKeyId } = created.accessKey!;
  console.log("made an access key");

  // With the position of a write, a verification knows of it.
  const head = await signedRequest(accessKeyId, created.secretAccessKey);
  expect(await verify(head, created.position), { arn, generation: 1 });
  expect(await verify(withHost(head, "other.example.com"), 0n), "SignatureDoesNotMatch");
  console.log("verified a request that the AWS SDK signed, and refused it with another host");

  // A watch shows what was recorded after a position, and then what comes.
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(10_000)]);
  const request = { user: user!.name, kinds: ["access_key_created"] };
  const seen = await first(events.watchEvents(request, { signal, timeoutMs: 0 }));
  // To read no more of a stream does not end it.
  stop.abort();
  const payload = seen.payload?.event;
  expect(payload?.case === "accessKeyCreated" && payload.value.accessKeyId, accessKeyId);
  expect(seen.position, created.position);
  console.log("saw the event");

  // For an hour both secrets are good: time to tell the new one to all who need it.
  const second = await rotate(name, 3600);
  expect(await verify(head, second.position), { arn, generation: 1 });
  const newHead = await signedRequest(accessKeyId, second.secretAccessKey);
  expect(await verify(newHead, second.position), { arn, generation: 2 });
  console.log("rotated with a grace period: both secrets are good");

  // Without a grace period whatever was signed before is refused from now on.
  const third = await rotate(name, 0);
  expect(await verify(head, third.position), "SignatureDoesNotMatch");
  expect(await verify(newHead, third.position), "SignatureDoesNotMatch");
  const newestHead = await signedRequest(accessKeyId, third.secretAccessKey);
  expect(await verify(newestHead, third.position), { arn, generation: 3 });
  console.log("rotated without one: only the new secret is good");

  // A refusal has a reason for programs, and may name a field.
  const error = await users.createUser({ parent: account!.name, user: { userName: "no spaces" } }).then(
    () => fail("a user name with a space was taken"),
    (reason: unknown) => ConnectError.from(reason),
  );
  expect(error.code, Code.InvalidArgument);
  const [info] = error.findDetails(ErrorInfoSchema);
  const [badRequest] = error.findDetails(BadRequestSchema);
  const field = badRequest?.fieldViolations[0]?.field;
  expect([info?.domain, info?.reason, field], ["claviger.io", "INVALID_FIELD", "user.user_name"]);
  console.log(`read an error: ${info?.reason} of ${field}`);

  await users.deleteUser({ name: user!.name, force: true });
  await accounts.deleteAccount({ name: account!.name });
  console.log("deleted the user and the account");
}

async function first(watch: AsyncIterable<WatchEventsResponse>) {
  for await (const { event } of watch) {
    if (event !== undefined) return event;
  }
  return fail("the watch ended without an event");
}

function rotate(name: string, gracePeriodSeconds: number) {
  return accessKeys.rotateSecretAccessKey({ name, gracePeriodSeconds, requestId: randomUUID() });
}

/** Who signed the request and with which generation of the secret; or S3's code for why it is refused. */
async function verify(head: RequestHead, minPosition: bigint) {
  const request = { case: "head", value: head } as const;
  const { verdict } = await auth.verifySignature({ request, region, minPosition });
  if (verdict.case !== "verified") return verdict.value?.code;
  return { arn: verdict.value.principal?.arn, generation: verdict.value.secretGeneration };
}

/** The head of a request by the AWS SDK, as it reaches a server: this is where yours would ask. */
async function signedRequest(accessKeyId: string, secretAccessKey: string) {
  let head = create(RequestHeadSchema);
  const server = createServer((request, response) => {
    // Names and values in turn.
    const raw = request.rawHeaders;
    const headers = raw.flatMap((name, i) => (i % 2 === 0 ? [{ name, value: raw[i + 1] }] : []));
    head = create(RequestHeadSchema, { method: request.method, target: request.url, headers });
    response.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const s3 = new S3Client({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region,
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await s3.send(
    new GetObjectCommand({
      Bucket: "reports",
      Key: "Bericht für März.txt",
      ResponseContentType: "text/plain; charset=utf-8",
    }),
  );
  s3.destroy();
  server.close();
  return head;
}

function withHost(head: RequestHead, host: string) {
  const headers = head.headers.map(({ name, value }) => ({
    name,
    value: name.toLowerCase() === "host" ? host : value,
  }));
  return create(RequestHeadSchema, { method: head.method, target: head.target, headers });
}

function expect(found: unknown, expected: unknown) {
  if (!isDeepStrictEqual(found, expected)) fail(`expected ${String(expected)}, found ${String(found)}`);
}

function fail(message: string): never {
  throw new Error(message);
}

await main();
