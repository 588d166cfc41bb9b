#include "tcp.h"

#include <linux/tcp.h> /* has more than <netinet/tcp.h>, and cannot be had beside it */
#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

#include "units.h"

uint64_t plait_tcp_rtt_ns(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;

    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return 0;
    if (len >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof info.tcpi_min_rtt && info.tcpi_min_rtt != 0 &&
        info.tcpi_min_rtt != UINT32_MAX)
        return info.tcpi_min_rtt * PLAIT_US;
    return info.tcpi_rtt * PLAIT_US;
}
