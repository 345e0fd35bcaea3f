// SPDX-License-Identifier: Apache-2.0

package io.tributary.operators.coordinator;

import java.lang.annotation.Documented;
import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * Marks a class that decides. It reads no clock and does no I/O: time and state are arguments, and
 * what is to be done is the result. The build checks that.
 */
@Documented
@Retention(RetentionPolicy.RUNTIME)
@Target(ElementType.TYPE)
public @interface Policy {}
