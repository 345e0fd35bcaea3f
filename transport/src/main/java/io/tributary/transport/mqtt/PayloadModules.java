// SPDX-License-Identifier: Apache-2.0

package io.tributary.transport.mqtt;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.util.Set;
import javax.net.SocketFactory;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.SSLSocket;
import javax.net.ssl.SSLSocketFactory;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.internal.NetworkModule;
import org.eclipse.paho.mqttv5.client.internal.NetworkModuleService;
import org.eclipse.paho.mqttv5.client.internal.TCPNetworkModule;
import org.eclipse.paho.mqttv5.client.spi.NetworkModuleFactory;
import org.eclipse.paho.mqttv5.common.MqttException;

/** Paho's own connections with payloads put aside. Found by Paho as a service. */
public final class PayloadModules implements NetworkModuleFactory {

    /** Before the URL of a broker, makes Paho ask here. */
    static final String PREFIX = "tributary+";

    /** Options of a connection whose payloads are put aside. */
    static final class Options extends MqttConnectionOptions {

        private final Payloads payloads = new Payloads();

        Payloads payloads() {
            return payloads;
        }
    }

    private record Module(NetworkModule paho, Options options) implements NetworkModule {

        @Override
        public void start() throws IOException, MqttException {
            paho.start();
        }

        @Override
        public InputStream getInputStream() throws IOException {
            return new PayloadStream(
                    paho.getInputStream(), options.payloads(), options.getMaximumPacketSize());
        }

        @Override
        public OutputStream getOutputStream() throws IOException {
            return paho.getOutputStream();
        }

        @Override
        public void stop() throws IOException {
            paho.stop();
        }

        @Override
        public String getServerURI() {
            return paho.getServerURI();
        }
    }

    @Override
    public Set<String> getSupportedUriSchemes() {
        return Set.of(PREFIX + "tcp", PREFIX + "ssl", PREFIX + "ws", PREFIX + "wss");
    }

    @Override
    public void validateURI(URI uri) {
        NetworkModuleService.validateURI(plain(uri));
    }

    @Override
    public NetworkModule createNetworkModule(
            URI uri, MqttConnectionOptions options, String clientId) throws MqttException {
        NetworkModule paho =
                uri.getScheme().equals(PREFIX + "ssl") && uri.getHost().startsWith("[")
                        ? tlsToAddress(uri, options, clientId)
                        : NetworkModuleService.createInstance(plain(uri), options, clientId);
        return new Module(paho, (Options) options);
    }

    /** Paho's own module for TLS shows the server its name, and an IPv6 address is none. */
    private static NetworkModule tlsToAddress(
            URI uri, MqttConnectionOptions options, String clientId) {
        TCPNetworkModule module =
                new TCPNetworkModule(
                        new CheckedSockets((SSLSocketFactory) options.getSocketFactory()),
                        uri.getHost(),
                        uri.getPort(),
                        clientId);
        module.setConnectTimeout(options.getConnectionTimeout());
        return module;
    }

    /** Makes sockets that look whether a certificate is for the address that they connect to. */
    private static final class CheckedSockets extends SocketFactory {

        private final SSLSocketFactory sockets;

        CheckedSockets(SSLSocketFactory sockets) {
            this.sockets = sockets;
        }

        @Override
        public Socket createSocket() throws IOException {
            SSLSocket socket = (SSLSocket) sockets.createSocket();
            SSLParameters parameters = socket.getSSLParameters();
            parameters.setEndpointIdentificationAlgorithm("HTTPS");
            socket.setSSLParameters(parameters);
            return socket;
        }

        @Override
        public Socket createSocket(String host, int port) {
            throw new UnsupportedOperationException("Paho connects its sockets itself");
        }

        @Override
        public Socket createSocket(String host, int port, InetAddress local, int localPort) {
            return createSocket(host, port);
        }

        @Override
        public Socket createSocket(InetAddress host, int port) {
            return createSocket(host.getHostAddress(), port);
        }

        @Override
        public Socket createSocket(InetAddress host, int port, InetAddress local, int localPort) {
            return createSocket(host, port);
        }
    }

    private static String plain(URI uri) {
        return uri.toString().substring(PREFIX.length());
    }
}
