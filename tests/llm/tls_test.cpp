// Certificates are checked: a made-up HTTPS server whose certificate nobody vouches for gets no request, and no key; one that ca_file vouches for
// does.
#include "actors/synthesis/llm/made_up_server.hpp"
#include "tests/llm/asking.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fstream>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

using namespace kevolve;
using namespace kevolve::llm;

namespace {

/// Serves one connection after the other until it goes; every request gets the same answer.
class https_server {
public:
  explicit https_server(const std::filesystem::path& certificate_file) : tls_(SSL_CTX_new(TLS_server_method())) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME* name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("made-up"), -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION* address = X509V3_EXT_conf_nid(nullptr, nullptr, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(certificate, address, -1);
    X509_EXTENSION_free(address);
    REQUIRE(X509_sign(certificate, key, EVP_sha256()) > 0);
    REQUIRE(SSL_CTX_use_certificate(tls_, certificate) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(tls_, key) == 1);
    FILE* out = std::fopen(certificate_file.c_str(), "w");
    REQUIRE(out);
    PEM_write_X509(out, certificate);
    std::fclose(out);
    X509_free(certificate);
    EVP_PKEY_free(key);
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address_in{};
    address_in.sin_family = AF_INET;
    address_in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_in;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address_in), size) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address_in), &size);
    port_ = ntohs(address_in.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~https_server() {
    ::shutdown(listener_, SHUT_RDWR); // wakes accept
    thread_.join();
    ::close(listener_);
    SSL_CTX_free(tls_);
  }
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port_) + "/v1"; }
  std::atomic<int> requests = 0;

private:
  void serve() {
    for (int fd; (fd = ::accept(listener_, nullptr, nullptr)) >= 0; ::close(fd)) {
      SSL* connection = SSL_new(tls_);
      SSL_set_fd(connection, fd);
      std::string asked; // a body of JSON: its last byte closes it
      char buffer[16384];
      const bool accepted = SSL_accept(connection) == 1;
      for (int n; accepted && !asked.ends_with('}') && (n = SSL_read(connection, buffer, sizeof buffer)) > 0;)
        asked.append(buffer, static_cast<std::size_t>(n));
      if (asked.ends_with('}')) {
        ++requests;
        const std::string body = R"({"choices":[{"message":{"content":"over TLS"}}]})";
        const std::string response = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
        SSL_write(connection, response.data(), static_cast<int>(response.size()));
        SSL_shutdown(connection);
      }
      SSL_free(connection);
    }
  }
  SSL_CTX* tls_;
  int listener_ = -1, port_ = 0;
  std::thread thread_;
};

} // namespace

TEST_CASE("a server whose certificate nobody vouches for gets no request; ca_file vouches") {
  const folder at;
  https_server server(at / "certificate.pem");
  provider_settings s;
  s.name = "made-up", s.base_url = server.url(), s.max_retries = 0;
  surroundings around = surroundings_with();
  request r = asking("p");
  r.model.stream = false;
  const reply refused = ask(**make_provider(s, around), r);
  REQUIRE_FALSE(refused);
  CHECK(refused.failure().kind == failure_kind::network);
  CHECK(refused.failure().message.find("certificate") != std::string::npos);
  CHECK(server.requests == 0);
  s.ca_file = at / "certificate.pem";
  const reply trusted = ask(**make_provider(s, around), r);
  if (!trusted)
    FAIL(trusted.failure().message);
  CHECK(trusted->text == "over TLS");
  CHECK(server.requests == 1);
}
