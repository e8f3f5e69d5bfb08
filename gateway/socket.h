/* socket.h: what only the kernel's own header tells of a TCP socket. A file of its own, since
 * <linux/tcp.h> and the <netinet/tcp.h> of libuv exclude each other.
 *
 * Lifetime  none.
 * Thread    any.
 */
#ifndef GW_SOCKET_H
#define GW_SOCKET_H

#include <stdint.h>

/* Bytes that were read from the socket so far; 0 when the kernel does not say. */
uint64_t gw_socket_bytes_read(int fd);

#endif
