// SPDX-License-Identifier: Apache-2.0

package io.tributary.node;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.Arrays;
import java.util.List;

/** Where nodes may be that can be joined; a name may mean other addresses from time to time. */
@FunctionalInterface
interface Seeds {

    List<InetSocketAddress> addresses() throws IOException;

    static Seeds of(String host, int port) {
        return () ->
                Arrays.stream(InetAddress.getAllByName(host))
                        .map(address -> new InetSocketAddress(address, port))
                        .toList();
    }
}
