"""OpenSSL 3.0, the parts that Ringway uses. Declarations only."""
from libc.stdint cimport uint64_t

cdef extern from "<openssl/ssl.h>" nogil:
    ctypedef struct SSL:
        pass
    ctypedef struct SSL_CTX:
        pass
    ctypedef struct SSL_METHOD:
        pass
    ctypedef struct SSL_CIPHER:
        pass
    ctypedef struct BIO:
        pass
    ctypedef struct BIO_METHOD:
        pass
    ctypedef struct X509:
        pass
    ctypedef struct EVP_PKEY:
        pass
    ctypedef struct EVP_MD:
        pass
    ctypedef struct SSL_SESSION:
        pass
    ctypedef struct X509_STORE:
        pass
    ctypedef struct X509_VERIFY_PARAM:
        pass
    ctypedef struct X509_STORE_CTX:
        pass
    ctypedef struct X509_NAME:
        pass
    ctypedef struct X509_NAMES "STACK_OF(X509_NAME)":
        pass
    ctypedef struct ASN1_TIME:
        pass
    ctypedef struct ASN1_INTEGER:
        pass
    ctypedef void (*name_free_t)(X509_NAME* name) noexcept nogil
    ctypedef int (*verify_t)(int ok, X509_STORE_CTX* context) noexcept nogil
    ctypedef int (*ticket_make_t)(SSL* ssl, void* arg) noexcept nogil
    ctypedef int (*ticket_open_t)(SSL* ssl, SSL_SESSION* session, const unsigned char* name, size_t length, int status,
                                  void* arg) noexcept nogil
    ctypedef int (*new_session_t)(SSL* ssl, SSL_SESSION* session) noexcept nogil
    ctypedef int (*alpn_select_t)(SSL* ssl, const unsigned char** out, unsigned char* out_length,
                                  const unsigned char* offered, unsigned int offered_length, void* arg) noexcept nogil

    ctypedef void (*keylog_t)(const SSL* ssl, const char* line) noexcept nogil
    ctypedef void (*message_t)(int written, int version, int content_type, const void* data, size_t length, SSL* ssl,
                               void* arg) noexcept nogil

    int TLS1_2_VERSION, TLS1_3_VERSION
    int SSL3_RT_CHANGE_CIPHER_SPEC, SSL3_RT_ALERT, SSL3_RT_HANDSHAKE, SSL3_RT_APPLICATION_DATA, SSL3_RT_HEADER
    uint64_t SSL_OP_NO_RENEGOTIATION, SSL_OP_NO_COMPRESSION, SSL_OP_IGNORE_UNEXPECTED_EOF
    long SSL_MODE_RELEASE_BUFFERS, SSL_MODE_ENABLE_PARTIAL_WRITE, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
    long SSL_SESS_CACHE_OFF
    int SSL_ERROR_NONE, SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE, SSL_ERROR_ZERO_RETURN, SSL_ERROR_SYSCALL
    int SSL_TLSEXT_ERR_OK, SSL_TLSEXT_ERR_ALERT_FATAL, SSL_TLSEXT_ERR_NOACK
    int SSL_SENT_SHUTDOWN

    ctypedef struct EVP_CIPHER_CTX:
        pass
    ctypedef struct EVP_MAC_CTX:
        pass
    ctypedef struct OSSL_PARAM:
        pass
    ctypedef int (*client_hello_t)(SSL* ssl, int* alert, void* arg) noexcept nogil
    ctypedef int (*status_t)(SSL* ssl, void* arg) noexcept nogil
    ctypedef int (*ticket_key_t)(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                                 EVP_MAC_CTX* mac, int encrypt) noexcept nogil
    int SSL_CLIENT_HELLO_SUCCESS, SSL_CLIENT_HELLO_ERROR, SSL_AD_INTERNAL_ERROR, TLSEXT_TYPE_server_name
    int SSL_RECEIVED_SHUTDOWN, SSL_VERIFY_NONE, SSL_VERIFY_PEER, SSL_VERIFY_FAIL_IF_NO_PEER_CERT
    int SSL_TICKET_SUCCESS, SSL_TICKET_SUCCESS_RENEW
    int SSL_TICKET_RETURN_IGNORE_RENEW, SSL_TICKET_RETURN_USE, SSL_TICKET_RETURN_USE_RENEW
    int SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE
    long SSL_SESS_CACHE_CLIENT, SSL_SESS_CACHE_NO_INTERNAL

    const SSL_METHOD* TLS_server_method()
    const SSL_METHOD* TLS_client_method()
    int SSL_CTX_clear_chain_certs(SSL_CTX* ctx)
    SSL_CTX* SSL_CTX_new(const SSL_METHOD* method)
    void SSL_CTX_free(SSL_CTX* ctx)
    int SSL_CTX_set_min_proto_version(SSL_CTX* ctx, int version)
    uint64_t SSL_CTX_set_options(SSL_CTX* ctx, uint64_t options)
    long SSL_CTX_set_mode(SSL_CTX* ctx, long mode)
    int SSL_CTX_set_cipher_list(SSL_CTX* ctx, const char* text)
    int SSL_CTX_set1_groups_list(SSL_CTX* ctx, const char* text)
    int SSL_CTX_set_ciphersuites(SSL_CTX* ctx, const char* text)
    void SSL_CTX_set_client_hello_cb(SSL_CTX* ctx, client_hello_t callback, void* arg)
    int SSL_client_hello_get0_ext(SSL* ssl, unsigned int kind, const unsigned char** out, size_t* length)
    SSL_CTX* SSL_set_SSL_CTX(SSL* ssl, SSL_CTX* ctx)
    int SSL_CTX_set_tlsext_ticket_key_evp_cb(SSL_CTX* ctx, ticket_key_t callback)
    int SSL_CTX_use_certificate(SSL_CTX* ctx, X509* certificate)
    int SSL_CTX_add1_chain_cert(SSL_CTX* ctx, X509* certificate)
    int SSL_CTX_use_PrivateKey(SSL_CTX* ctx, EVP_PKEY* key)
    int SSL_CTX_check_private_key(SSL_CTX* ctx)
    X509* SSL_CTX_get0_certificate(const SSL_CTX* ctx)      # the one that was set last
    int SSL_CTX_set_app_data(SSL_CTX* ctx, void* data)
    void* SSL_CTX_get_app_data(const SSL_CTX* ctx)
    SSL_CTX* SSL_get_SSL_CTX(const SSL* ssl)
    X509* SSL_get_certificate(const SSL* ssl)
    long SSL_CTX_set_tlsext_status_cb(SSL_CTX* ctx, status_t callback)
    long SSL_set_tlsext_status_ocsp_resp(SSL* ssl, void* response, long length)     # owns `response`
    int SSL_CTX_set_num_tickets(SSL_CTX* ctx, size_t count)
    long SSL_CTX_set_session_cache_mode(SSL_CTX* ctx, long mode)
    int SSL_CTX_set_session_id_context(SSL_CTX* ctx, const unsigned char* text, unsigned int length)
    int SSL_CTX_set_session_ticket_cb(SSL_CTX* ctx, ticket_make_t make, ticket_open_t open, void* arg)
    int SSL_set_session_id_context(SSL* ssl, const unsigned char* text, unsigned int length)
    void SSL_set_verify(SSL* ssl, int mode, verify_t callback)
    int SSL_set1_verify_cert_store(SSL* ssl, X509_STORE* store)
    X509_NAMES* SSL_dup_CA_list(const X509_NAMES* names)
    void SSL_set_client_CA_list(SSL* ssl, X509_NAMES* names)
    X509* SSL_get0_peer_certificate(const SSL* ssl)
    X509* SSL_SESSION_get0_peer(SSL_SESSION* session)
    void SSL_CTX_set_alpn_select_cb(SSL_CTX* ctx, alpn_select_t callback, void* arg)

    int SSL_CTX_set_alpn_protos(SSL_CTX* ctx, const unsigned char* protocols, unsigned int length)  # 0: success
    void SSL_CTX_set_verify(SSL_CTX* ctx, int mode, void* callback)
    X509_VERIFY_PARAM* SSL_CTX_get0_param(SSL_CTX* ctx)
    void SSL_CTX_set1_cert_store(SSL_CTX* ctx, X509_STORE* store)
    void SSL_CTX_sess_set_new_cb(SSL_CTX* ctx, new_session_t callback)
    int SSL_set_session(SSL* ssl, SSL_SESSION* session)
    int SSL_SESSION_is_resumable(const SSL_SESSION* session)
    void SSL_SESSION_free(SSL_SESSION* session)
    int SSL_set_tlsext_host_name(SSL* ssl, const char* name)
    long SSL_get_verify_result(const SSL* ssl)
    void SSL_set_shutdown(SSL* ssl, int mode)
    void SSL_set_connect_state(SSL* ssl)

    void SSL_CTX_set_keylog_callback(SSL_CTX* ctx, keylog_t callback)
    void SSL_CTX_set_msg_callback(SSL_CTX* ctx, message_t callback)

    SSL* SSL_new(SSL_CTX* ctx)
    int SSL_set_app_data(SSL* ssl, void* arg)
    void* SSL_get_app_data(const SSL* ssl)
    long SSL_set_msg_callback_arg(SSL* ssl, void* arg)
    int SSL_pending(const SSL* ssl)
    int SSL_has_pending(const SSL* ssl)
    const char* SSL_rstate_string(const SSL* ssl)
    int SSL_get_key_update_type(const SSL* ssl)
    int SSL_KEY_UPDATE_NONE, SSL_KEY_UPDATE_NOT_REQUESTED
    int SSL_key_update(SSL* ssl, int update_type)
    size_t SSL_get_client_random(const SSL* ssl, unsigned char* out, size_t length)
    size_t SSL_get_server_random(const SSL* ssl, unsigned char* out, size_t length)
    void SSL_free(SSL* ssl)
    void SSL_set_accept_state(SSL* ssl)
    void SSL_set_bio(SSL* ssl, BIO* reading, BIO* writing)
    int SSL_do_handshake(SSL* ssl)
    int SSL_read(SSL* ssl, void* data, int length)
    int SSL_write(SSL* ssl, const void* data, int length)
    int SSL_shutdown(SSL* ssl)
    int SSL_get_error(const SSL* ssl, int result)
    void SSL_get0_alpn_selected(const SSL* ssl, const unsigned char** name, unsigned int* length)
    int SSL_version(const SSL* ssl)
    int SSL_session_reused(const SSL* ssl)
    int SSL_in_init(const SSL* ssl)
    const SSL_CIPHER* SSL_get_current_cipher(const SSL* ssl)
    const char* SSL_CIPHER_get_name(const SSL_CIPHER* cipher)
    int SSL_select_next_proto(unsigned char** out, unsigned char* out_length, const unsigned char* server,
                              unsigned int server_length, const unsigned char* client, unsigned int client_length)
    int OPENSSL_NPN_NEGOTIATED

cdef extern from "<openssl/bio.h>" nogil:
    ctypedef int (*bio_write_t)(BIO* bio, const char* data, int length) noexcept nogil
    ctypedef int (*bio_read_t)(BIO* bio, char* data, int length) noexcept nogil
    ctypedef long (*bio_ctrl_t)(BIO* bio, int command, long number, void* pointer) noexcept nogil
    int BIO_CTRL_FLUSH, BIO_CTRL_PUSH, BIO_CTRL_POP
    int BIO_TYPE_SOURCE_SINK
    BIO_METHOD* BIO_meth_new(int kind, const char* name)
    void BIO_meth_free(BIO_METHOD* method)
    int BIO_meth_set_write(BIO_METHOD* method, bio_write_t f)
    int BIO_meth_set_read(BIO_METHOD* method, bio_read_t f)
    int BIO_meth_set_ctrl(BIO_METHOD* method, bio_ctrl_t f)
    BIO* BIO_new(const BIO_METHOD* method)
    const BIO_METHOD* BIO_s_mem()
    long BIO_get_mem_data(BIO* bio, char** out)
    int BIO_reset(BIO* bio)
    BIO* BIO_new_mem_buf(const void* data, int length)
    int BIO_free(BIO* bio)
    void BIO_set_data(BIO* bio, void* data)
    void* BIO_get_data(BIO* bio)
    void BIO_set_init(BIO* bio, int on)
    void BIO_set_retry_read(BIO* bio)
    void BIO_clear_retry_flags(BIO* bio)

cdef extern from "<openssl/pem.h>" nogil:
    X509* PEM_read_bio_X509(BIO* bio, X509** out, void* callback, void* arg)
    EVP_PKEY* PEM_read_bio_PrivateKey(BIO* bio, EVP_PKEY** out, void* callback, void* arg)
    int PEM_R_NO_START_LINE
    void X509_free(X509* certificate)
    int X509_check_private_key(const X509* certificate, const EVP_PKEY* key)
    int i2d_X509(const X509* certificate, unsigned char** out)
    X509_NAME* X509_get_subject_name(const X509* certificate)
    X509_NAME* X509_get_issuer_name(const X509* certificate)
    const ASN1_INTEGER* X509_get0_serialNumber(const X509* certificate)
    const ASN1_TIME* X509_get0_notAfter(const X509* certificate)
    int X509_digest(const X509* certificate, const EVP_MD* md, unsigned char* out, unsigned int* length)
    X509_NAME* X509_NAME_dup(const X509_NAME* name)
    void X509_NAME_free(X509_NAME* name)
    int X509_NAME_print_ex(BIO* bio, const X509_NAME* name, int indent, unsigned long flags)
    int i2a_ASN1_INTEGER(BIO* bio, const ASN1_INTEGER* number)
    unsigned long XN_FLAG_RFC2253
    X509_NAMES* sk_X509_NAME_new_null()
    int sk_X509_NAME_push(X509_NAMES* names, X509_NAME* name)
    void sk_X509_NAME_pop_free(X509_NAMES* names, name_free_t free)
    void EVP_PKEY_free(EVP_PKEY* key)

cdef extern from "<openssl/x509_vfy.h>" nogil:
    long X509_V_OK
    unsigned long X509_V_FLAG_PARTIAL_CHAIN
    X509_STORE* X509_STORE_new()
    void X509_STORE_free(X509_STORE* store)
    int X509_STORE_set_flags(X509_STORE* store, unsigned long flags)
    int X509_cmp_current_time(const ASN1_TIME* time)    # <=0: it has passed, or is invalid
    int X509_STORE_add_cert(X509_STORE* store, X509* certificate)
    int X509_VERIFY_PARAM_set1_host(X509_VERIFY_PARAM* param, const char* name, size_t length)
    int X509_VERIFY_PARAM_set1_ip_asc(X509_VERIFY_PARAM* param, const char* text)
    void X509_VERIFY_PARAM_set_hostflags(X509_VERIFY_PARAM* param, unsigned int flags)
    int X509_VERIFY_PARAM_set_flags(X509_VERIFY_PARAM* param, unsigned long flags)
    const char* X509_verify_cert_error_string(long number)

cdef extern from "<openssl/x509v3.h>" nogil:
    unsigned int X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS

cdef extern from "<openssl/err.h>" nogil:
    unsigned long ERR_peek_error()
    unsigned long ERR_peek_last_error()
    int ERR_GET_REASON(unsigned long code)
    const char* ERR_reason_error_string(unsigned long code)
    unsigned long ERR_get_error()
    void ERR_clear_error()
    void ERR_error_string_n(unsigned long code, char* out, size_t size)

cdef extern from "<openssl/hmac.h>" nogil:
    const EVP_MD* EVP_sha256()
    const EVP_MD* EVP_sha384()
    unsigned char* HMAC(const EVP_MD* md, const void* key, int key_length, const unsigned char* data, size_t length,
                        unsigned char* out, unsigned int* out_length)

cdef extern from "<openssl/evp.h>" nogil:
    ctypedef struct EVP_CIPHER:
        pass
    const EVP_CIPHER* EVP_aes_256_cbc()
    int EVP_EncryptInit_ex(EVP_CIPHER_CTX* ctx, const EVP_CIPHER* cipher, void* engine, const unsigned char* key,
                           const unsigned char* iv)
    int EVP_DecryptInit_ex(EVP_CIPHER_CTX* ctx, const EVP_CIPHER* cipher, void* engine, const unsigned char* key,
                           const unsigned char* iv)
    int EVP_MAC_CTX_set_params(EVP_MAC_CTX* ctx, const OSSL_PARAM* params)
    OSSL_PARAM OSSL_PARAM_construct_octet_string(const char* name, void* data, size_t length)
    OSSL_PARAM OSSL_PARAM_construct_utf8_string(const char* name, char* text, size_t length)
    OSSL_PARAM OSSL_PARAM_construct_end()
    int RAND_bytes(unsigned char* out, int length)

cdef extern from "<openssl/rand.h>" nogil:
    pass

cdef extern from "<openssl/params.h>" nogil:
    pass

cdef extern from "<openssl/crypto.h>" nogil:
    void* OPENSSL_malloc(size_t size)
    void OPENSSL_cleanse(void* data, size_t length)
