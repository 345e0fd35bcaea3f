// SPDX-License-Identifier: Apache-2.0

package io.tributary.protocol.mqtt;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.URI;
import java.util.Set;
import org.eclipse.paho.mqttv5.client.MqttConnectionOptions;
import org.eclipse.paho.mqttv5.client.internal.NetworkModule;
import org.eclipse.paho.mqttv5.client.internal.NetworkModuleService;
import org.eclipse.paho.mqttv5.client.spi.NetworkModuleFactory;
import org.eclipse.paho.mqttv5.common.MqttException;

/** Paho's own connections, tcp and ssl, with payloads put aside. Found by Paho as a service. */
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
        return Set.of(PREFIX + "tcp", PREFIX + "ssl");
    }

    @Override
    public void validateURI(URI uri) {
        NetworkModuleService.validateURI(plain(uri));
    }

    @Override
    public NetworkModule createNetworkModule(
            URI uri, MqttConnectionOptions options, String clientId) throws MqttException {
        return new Module(
                NetworkModuleService.createInstance(plain(uri), options, clientId),
                (Options) options);
    }

    private static String plain(URI uri) {
        return uri.toString().substring(PREFIX.length());
    }
}
