// SPDX-License-Identifier: Apache-2.0

package io.tributary.testbed.digits;

import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Digits drawn by code: the strokes of each digit, moved, turned, sheared, with a pen of varying
 * width and some noise. The same seed draws the same digits.
 */
public final class DrawnDigits {

    private static final int SIDE = 28;

    /** Strokes in a unit square, y downwards; a round one is a polygon. */
    private static final List<double[][]> STROKES = strokes();

    private DrawnDigits() {}

    /** Draws {@code count} digits, all classes alike. */
    public static Digits draw(int count, long seed) {
        SplittableRandom random = new SplittableRandom(seed);
        float[] pixels = new float[count * Digits.PIXELS];
        int[] labels = new int[count];
        for (int i = 0; i < count; i++) {
            labels[i] = i % Digits.CLASSES;
            draw(labels[i], random, pixels, i * Digits.PIXELS);
        }
        return new Digits(pixels, labels);
    }

    private static void draw(int digit, SplittableRandom random, float[] pixels, int offset) {
        double angle = random.nextDouble(-0.25, 0.25);
        double shear = random.nextDouble(-0.25, 0.25);
        double width = random.nextDouble(12, 18);
        double height = random.nextDouble(15, 21);
        double x0 = SIDE / 2.0 + random.nextDouble(-2.5, 2.5);
        double y0 = SIDE / 2.0 + random.nextDouble(-2.5, 2.5);
        double pen = random.nextDouble(0.8, 1.9);
        double[][] points = new double[STROKES.get(digit).length][];
        for (int p = 0; p < points.length; p++) {
            double[] point = STROKES.get(digit)[p];
            double x = (point[0] - 0.5 + random.nextDouble(-0.04, 0.04)) * width;
            double y = (point[1] - 0.5 + random.nextDouble(-0.04, 0.04)) * height;
            x += shear * y;
            points[p] =
                    new double[] {
                        x0 + x * Math.cos(angle) - y * Math.sin(angle),
                        y0 + x * Math.sin(angle) + y * Math.cos(angle),
                        point[2]
                    };
        }
        for (int y = 0; y < SIDE; y++) {
            for (int x = 0; x < SIDE; x++) {
                double ink = pen + 0.5 - distance(points, x + 0.5, y + 0.5);
                double noise = random.nextDouble(-0.08, 0.08);
                pixels[offset + y * SIDE + x] =
                        (float) Math.max(0, Math.min(1, Math.max(0, Math.min(1, ink)) + noise));
            }
        }
    }

    /** Distance from a point to the nearest stroke. */
    private static double distance(double[][] points, double x, double y) {
        double nearest = Double.MAX_VALUE; // squared: 'hypot' took two seconds of a demo's start
        for (int p = 1; p < points.length; p++) {
            if (points[p][2] == 0) {
                continue;
            }
            double dx = points[p][0] - points[p - 1][0];
            double dy = points[p][1] - points[p - 1][1];
            double along =
                    ((x - points[p - 1][0]) * dx + (y - points[p - 1][1]) * dy)
                            / Math.max(1e-9, dx * dx + dy * dy);
            double t = Math.max(0, Math.min(1, along));
            double away = x - points[p - 1][0] - t * dx;
            double below = y - points[p - 1][1] - t * dy;
            nearest = Math.min(nearest, away * away + below * below);
        }
        return Math.sqrt(nearest);
    }

    private static List<double[][]> strokes() {
        return List.of(
                new Pen().arc(0.5, 0.5, 0.42, 0.48, 0, 360).done(),
                new Pen().move(0.3, 0.2).line(0.55, 0.02).line(0.55, 0.98).done(),
                new Pen()
                        .arc(0.5, 0.28, 0.38, 0.26, 190, 380)
                        .line(0.1, 0.97)
                        .line(0.92, 0.97)
                        .done(),
                new Pen()
                        .arc(0.45, 0.26, 0.38, 0.24, 200, 450)
                        .arc(0.45, 0.73, 0.42, 0.25, 270, 520)
                        .done(),
                new Pen().move(0.7, 0.98).line(0.7, 0.02).line(0.08, 0.68).line(0.95, 0.68).done(),
                new Pen()
                        .move(0.85, 0.03)
                        .line(0.2, 0.03)
                        .line(0.16, 0.45)
                        .arc(0.46, 0.68, 0.4, 0.29, 240, 510)
                        .done(),
                new Pen()
                        .move(0.72, 0.03)
                        .line(0.2, 0.55)
                        .arc(0.5, 0.7, 0.36, 0.27, 180, 540)
                        .done(),
                new Pen().move(0.08, 0.04).line(0.92, 0.04).line(0.4, 0.98).done(),
                new Pen()
                        .arc(0.5, 0.26, 0.32, 0.23, 0, 360)
                        .arc(0.5, 0.74, 0.4, 0.25, 0, 360)
                        .done(),
                new Pen()
                        .arc(0.5, 0.3, 0.36, 0.27, 0, 360)
                        .move(0.86, 0.3)
                        .line(0.62, 0.98)
                        .done());
    }

    /** Collects points; the third number says whether a stroke leads to the point. */
    private static final class Pen {

        private final List<double[]> points = new ArrayList<>();

        Pen move(double x, double y) {
            points.add(new double[] {x, y, 0});
            return this;
        }

        Pen line(double x, double y) {
            points.add(new double[] {x, y, 1});
            return this;
        }

        Pen arc(double x, double y, double rx, double ry, int from, int to) {
            for (int degrees = from; degrees <= to; degrees += 15) {
                double radians = Math.toRadians(degrees);
                points.add(
                        new double[] {
                            x + rx * Math.cos(radians),
                            y + ry * Math.sin(radians),
                            degrees == from ? 0 : 1
                        });
            }
            return this;
        }

        double[][] done() {
            return points.toArray(double[][]::new);
        }
    }
}
