// Records how minio-go sends bodies in chunks, for tests/chunked/vectors.rs.
//
//	mkdir generate && cp crates/sigv4/tests/vectors/generate_chunked.go generate/main.go && cd generate
//	go mod init generate && go get github.com/minio/minio-go/v7@v7.0.95
//	go run . > ../crates/sigv4/tests/vectors/chunked.txt
//
// The keys are those of AWS's documentation. Nothing is sent. Data is the letters a to z, over and over.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
)

type hasher struct{ hash.Hash }

func (hasher) Close() {}

func data(length int) []byte {
	data := make([]byte, length)
	for i := range data {
		data[i] = byte('a' + i%26)
	}
	return data
}

func crc(table *crc32.Table) func([]byte) string {
	return func(data []byte) string {
		return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, crc32.Checksum(data, table)))
	}
}

func sha(data []byte) string {
	sum := sha256.Sum256(data)
	return base64.StdEncoding.EncodeToString(sum[:])
}

func write(name string, length int, algorithm string, checksum func([]byte) string, signed bool) {
	body := data(length)
	request, err := http.NewRequest("PUT", "http://localhost:7100/bucket/key", bytes.NewReader(body))
	check(err)
	if algorithm != "" {
		trailer := "x-amz-checksum-" + algorithm
		request.Trailer = http.Header{trailer: {checksum(body)}}
		request.Header.Set("X-Amz-Trailer", trailer)
	}
	request.ContentLength = int64(length)
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	key, secret := "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	if signed {
		request = signer.StreamingSignV4(request, key, secret, "", "us-east-1", int64(length), now, hasher{sha256.New()})
	} else {
		signer.StreamingUnsignedV4(request, "", int64(length), now)
		request.Header.Set("X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
		request.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(length))
	}
	wire, err := io.ReadAll(request.Body)
	check(err)
	fmt.Printf("== %s\n", name)
	for _, header := range []string{"X-Amz-Content-Sha256", "X-Amz-Decoded-Content-Length", "X-Amz-Trailer"} {
		if value := request.Header.Get(header); value != "" {
			fmt.Printf("%s: %s\n", header, value)
		}
	}
	if _, seed, found := strings.Cut(request.Header.Get("Authorization"), "Signature="); found {
		fmt.Printf("seed: %s\n", seed)
	}
	// The data is left out, which the length of each chunk says again, and CR becomes \r.
	for len(wire) > 0 {
		line, rest, _ := bytes.Cut(wire, []byte("\n"))
		fmt.Printf("> %s\n", strings.ReplaceAll(string(line), "\r", "\\r"))
		wire = rest
		var size int
		if count, _ := fmt.Sscanf(string(line), "%x", &size); count == 1 && size > 0 && !strings.Contains(string(line), ":") {
			wire = wire[size:]
		}
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	write("signed, nothing", 0, "", nil, true)
	write("signed, one small chunk", 5, "", nil, true)
	write("signed, a whole chunk", 65536, "", nil, true)
	write("signed, several chunks", 200000, "", nil, true)
	write("signed with a signed CRC32 trailer", 100000, "crc32", crc(crc32.IEEETable), true)
	write("signed with a signed CRC32C trailer", 65537, "crc32c", crc(crc32.MakeTable(crc32.Castagnoli)), true)
	write("signed with a signed SHA256 trailer", 5, "sha256", sha, true)
	write("unsigned with a CRC32 trailer", 100000, "crc32", crc(crc32.IEEETable), false)
	write("unsigned with a SHA256 trailer", 0, "sha256", sha, false)
}
